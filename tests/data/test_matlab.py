import os

import pytest
from scipy.io import savemat

from protoxai.data.matlab import read_mat


def test_variable_of_a_matlab_file(tmp_path):
    savemat(tmp_path / "a.mat", {"anno": {"name": "x", "sizes": [1, 2]}})
    content = read_mat(tmp_path / "a.mat", "anno")
    assert (content["name"], content["sizes"].tolist()) == ("x", [1, 2])
    with pytest.raises(ValueError, match=r"no variable 'labels', only anno"):
        read_mat(tmp_path / "a.mat", "labels")
    with pytest.raises(ValueError, match=r"b\.mat cannot be read"):
        read_mat(tmp_path / "b.mat", "anno")
    os.mkfifo(tmp_path / "c.mat")
    with pytest.raises(ValueError, match=r"c\.mat is a named pipe"):
        read_mat(tmp_path / "c.mat", "anno")
