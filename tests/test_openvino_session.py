import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from autoreid_deploy.embedder import Embedder
from autoreid_deploy.errors import MissingExtraError, ModelError
from autoreid_deploy.openvino_session import OpenVinoSession, installed_version
from autoreid_deploy.session import ModelSession, open_session

openvino = pytest.importorskip("openvino")


def cosines(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize("count", [1, 2, 12])
def test_its_rows_are_those_of_onnx_runtime_but_for_rounding(tiny_model, drawn_crops, count):
    session = open_session(tiny_model, "openvino")
    images = drawn_crops[:count]
    rows, expected = session.run(images), ModelSession(tiny_model, "cpu").run(images)
    assert session.spec == ModelSession(tiny_model, "cpu").spec
    assert rows.shape == expected.shape and rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    assert cosines(rows, expected).min() > 0.999
    assert session.precision in ("bf16", "f32")


def test_the_rows_of_a_bundled_model_are_those_of_onnx_runtime(drawn_crops):
    images = [np.ascontiguousarray(crop) for crop in drawn_crops]
    with Embedder.load(device="openvino") as one, Embedder.load() as other:
        assert one.id == other.id and one.device == "openvino"
        assert cosines(one.embed(images, color="rgb"), other.embed(images, color="rgb")).min() > 0.995


def test_threads_share_a_session_and_rows_stay_as_they_are(tiny_model, drawn_crops):
    session = OpenVinoSession(tiny_model)
    alone = [session.run(drawn_crops[i : i + 1]) for i in range(len(drawn_crops))]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            together = list(pool.map(session.run, (drawn_crops[i : i + 1] for i in range(len(drawn_crops)))))
            np.testing.assert_array_equal(together, alone)


def test_answers_of_another_network_are_refused(tiny_model, monkeypatch):
    honest = ModelSession.run
    monkeypatch.setattr(ModelSession, "run", lambda session, images: honest(session, images)[:, ::-1])
    with pytest.raises(ModelError, match=r"OpenVINO's rows \(.*\) should point .* choose device 'cpu'"):
        OpenVinoSession(tiny_model)


def test_what_openvino_cannot_load_is_refused_in_one_line(tiny_model, monkeypatch):
    def fail(*_):
        raise RuntimeError("Check failed\nat line 7\nnot supported")

    monkeypatch.setattr(openvino.Core, "read_model", fail)
    with pytest.raises(ModelError, match=r"tiny\.onnx: OpenVINO can't load it: not supported"):
        OpenVinoSession(tiny_model)


def test_a_missing_openvino_is_named_with_the_command(tiny_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    for call in (installed_version, lambda: open_session(tiny_model, "openvino")):
        with pytest.raises(MissingExtraError, match=r"pip install 'autoreid-deploy\[openvino\]'"):
            call()
