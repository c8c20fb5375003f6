import subprocess
import sys


def test_captum_loads_when_a_method_of_it_is_made() -> None:
    code = (
        "import sys, torch, protoxai.attribution as a;"
        "assert not {'captum', 'skimage'} & set(sys.modules);"
        "a.CaptumAttribution('Saliency', torch.nn.Conv2d(3, 2, 1)); assert 'captum' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
