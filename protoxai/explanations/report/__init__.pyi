from protoxai.explanations.report.dataset_report import report as report
from protoxai.explanations.report.page import explanation_page as explanation_page
