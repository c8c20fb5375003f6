"""The figures that stand first, and how a sentence names them."""

from __future__ import annotations

HEADLINE_METRICS = ("faithfulness", "relevance_mass", "active_units", "cost")
"""Metrics of the headline figures, which are measured by default."""

CONCLUSIVE = {
    "faithfulness": ("more faithful", "less faithful"),
    "context_faithfulness": ("more faithful outside of the region", "less faithful outside of it"),
    "relevance_mass": ("better localised", "worse localised"),
    "part_intervention": ("better at ranking parts", "worse at ranking parts"),
}
"""Figures that show whether an explanation is right, higher values for better ones, and what an
explainer with a higher or a lower one is."""

HEADLINES = (
    *("faithfulness", "context_faithfulness", "relevance_mass"),
    *("active_units", "seconds"),
)
"""Headline figures: faithfulness, context, localisation, compactness and cost."""

BETWEEN_MODELS = ("relevance_mass",)
"""Figures that do not depend on how sharp a model's logits are, by which models are compared."""

SHOWN = {"logit_map": "the model's own logit map", "predicted_region": "the predicted region"}
"""How a sentence names a reference."""
