from protoxai.evaluation.scores import Scores as Scores
from protoxai.evaluation.scores import evaluate as evaluate
from protoxai.evaluation.sliding import sliding_logits as sliding_logits
