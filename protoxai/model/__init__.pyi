from protoxai.model.evaluation_settings import EvaluationSettings as EvaluationSettings
from protoxai.model.linear import LinearSegmenter as LinearSegmenter
from protoxai.model.loading import load_model as load_model
from protoxai.model.outputs import LinearOutput as LinearOutput
from protoxai.model.outputs import SegmentationOutput as SegmentationOutput
from protoxai.model.prediction import predicted_labels as predicted_labels
from protoxai.model.scaleprotoseg import ScaleProtoSeg as ScaleProtoSeg
from protoxai.model.segmenter import Segmenter as Segmenter
