"""A checkpoint becomes one file that says what the network says, or no file at all."""

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from autoreid_deploy import Embedder
from autoreid_deploy.calibration import Calibration
from autoreid_deploy.errors import InputError, ModelError
from autoreid_deploy.model import ModelSpec
from autoreid_deploy.records import Record
from export import parity
from export.__main__ import cli
from export.calibrate import calibrate
from export.deploy_model import DeployModel
from export.to_onnx import Trained, halfway, read_checkpoint, write_onnx
from search import checkpoint
from search.augment import normalise
from search.config import RunConfig, Source
from search.data import Crops
from search.genotype import load_genotype
from search.network import Network, NetworkConfig, build_network
from search.ops import InstanceBatchNorm
from search.recipe import Recipe
from search.start import Start
from search.trainer import Trainer
from tests.people import draw_people

CONFIG = RunConfig(
    name="small",
    terms="for tests only",
    network=NetworkConfig(channels=6, cells=(1, 1), height=64, width=32, stem_stride=2, dim=16),
    recipe=Recipe(epochs=1, people=2, shots=2),
    train=(Source(path="drawn", name="drawn people", terms="free"),),
)


def shaken(network: Network) -> Network:
    """Give every BN statistics and weights of its own: fresh ones would hide a wrong fold."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, low, high in ((module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 2.0)):
                values.copy_(torch.rand(values.shape, generator=generator) * (high - low) + low)
            if module.affine:
                with torch.no_grad():
                    module.weight.copy_(torch.rand(module.weight.shape, generator=generator) + 0.5)
                    module.bias.copy_(torch.rand(module.bias.shape, generator=generator) - 0.5)
    return network.eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as a run writes it, with shaken BN."""
    folder = tmp_path_factory.mktemp("run")
    crops = Crops(
        images=np.zeros((8, 64, 32, 3), np.uint8),
        labels=np.repeat(np.arange(4), 2),
        records=tuple(Record(Path(f"{i}.jpg")) for i in range(8)),
        origins=np.zeros(8, np.int64),
        failures=(),
    )
    trainer = Trainer(
        config=CONFIG,
        genotype=load_genotype("auto_reid_2019"),
        train=crops,
        val=None,
        folder=folder,
        device=torch.device("cpu"),
    )
    shaken(trainer.average)
    trainer.history.append({"epoch": 1, "rank1": 0.5, "mAP": 0.25, "mINP": 0.125})
    trainer.save()
    return trainer.checkpoint_path


@pytest.fixture(scope="module")
def exported(saved: Path) -> Path:
    """The file that the command line writes for it, with its report beside it."""
    output = saved.with_name("small.onnx")
    measured = saved.with_name("measured.json")
    measured.write_text(json.dumps({"elsewhere": {"rank1": 0.75, "protocol": "by hand"}}))
    done = CliRunner().invoke(cli, [str(saved), "-o", str(output), "--metrics", str(measured)])
    assert done.exit_code == 0, done.output
    return output


@pytest.mark.parametrize(("dim", "ibn"), [(0, False), (16, False), (16, True)])
def test_folding_changes_no_answer(dim: int, ibn: bool) -> None:
    shape = replace(CONFIG.network, dim=dim, ibn=ibn)
    network = shaken(build_network(load_genotype("auto_reid_2019"), shape, people=3))
    images = torch.from_numpy(parity.random_crops(6, 64, 32))
    with torch.no_grad():
        folded = DeployModel(network)(images)
        torch.testing.assert_close(folded, network.embed(normalise(images)), atol=1e-5, rtol=0)


def test_instance_norm_goes_through_the_file_and_cannot_be_read_back(tmp_path: Path) -> None:
    shape = replace(CONFIG.network, ibn=True)
    network = shaken(build_network(load_genotype("auto_reid_2019"), shape, people=3))
    for module in network.modules():
        if isinstance(module, InstanceBatchNorm):
            torch.nn.init.uniform_(module.instance.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.instance.bias, -0.5, 0.5)
    spec = ModelSpec(
        name="ibn",
        height=64,
        width=32,
        dim=16,
        genotype=load_genotype("auto_reid_2019").to_dict(),
        training={"network": json.loads(json.dumps(asdict(shape))), "data": []},
        terms="for tests only",
        metrics={},
        calibration={},
    )
    write_onnx(Trained(network, spec), tmp_path / "ibn.onnx")
    parity.require(
        parity.compare(network, tmp_path / "ibn.onnx", {"random": parity.random_crops(32, 64, 32)})
    )
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "ibn.onnx").graph.node)
    assert kinds["InstanceNormalization"] > 0
    with pytest.raises(InputError, match="normalises by picture; take the checkpoint"):
        Start.load(tmp_path / "ibn.onnx")


def test_only_the_batch_norms_behind_a_pool_stay(exported: Path) -> None:
    kinds = Counter(node.op_type for node in onnx.load(exported).graph.node)
    assert kinds["BatchNormalization"] == 4  # two pools in each of the two reduction cells


def test_a_dilated_convolution_is_one_node(exported: Path) -> None:
    graph = onnx.load(exported).graph
    dilated = [a for n in graph.node for a in n.attribute if a.name == "dilations" and list(a.ints) == [2, 2]]
    assert len(dilated) == 8  # four in each of the two reduction cells


def test_the_file_keeps_the_contract_and_describes_itself(exported: Path) -> None:
    onnx.checker.check_model(str(exported), full_check=True)
    with Embedder.load(exported) as embedder:
        spec = embedder.spec
    assert (spec.name, spec.height, spec.width, spec.dim) == ("small", 64, 32, 16)
    assert spec.genotype == load_genotype("auto_reid_2019").to_dict()
    assert spec.training["data"] == [{"name": "drawn people", "terms": "free", "people": 4, "crops": 8}]
    assert spec.terms == "for tests only"
    assert spec.metrics["elsewhere"] == {"rank1": 0.75, "protocol": "by hand"}
    assert {"rank1": 0.5, "mAP": 0.25, "mINP": 0.125, "epoch": 1}.items() <= next(
        figures.items() for name, figures in spec.metrics.items() if name.startswith("validation")
    )


def test_the_embedder_answers_as_torch_does(exported: Path, saved: Path) -> None:
    images = parity.random_crops(9, 64, 32)
    with torch.no_grad():
        expected = read_checkpoint(saved).network.embed(normalise(torch.from_numpy(images))).numpy()
    with Embedder.load(exported) as embedder:
        np.testing.assert_allclose(embedder.embed(images, color="rgb"), expected, atol=1e-4)
        np.testing.assert_allclose(embedder.embed(images[..., ::-1], color="bgr"), expected, atol=1e-4)


def test_what_was_exported_can_be_trained_on(exported: Path, saved: Path) -> None:
    start, crops = Start.load(exported), parity.random_crops(16, 64, 32)
    again, trained = build_network(start.genotype, start.config, 3), read_checkpoint(saved).network
    start.fill(again, start.config, crops)
    images = normalise(torch.from_numpy(crops))
    with torch.no_grad():
        torch.testing.assert_close(again.eval().embed(images), trained.embed(images), atol=1e-5, rtol=0)


def test_a_mirrored_export_gives_one_row_for_a_crop_and_its_mirror_image(saved: Path) -> None:
    output = saved.with_name("mirrored.onnx")
    done = CliRunner().invoke(cli, [str(saved), "-o", str(output), "--mirrored"])
    assert done.exit_code == 0, done.output
    images = parity.random_crops(9, 64, 32)
    network = read_checkpoint(saved).network
    with torch.no_grad():
        plain, turned = (
            network.embed(normalise(torch.from_numpy(np.ascontiguousarray(side))))
            for side in (images, images[:, :, ::-1])
        )
    expected = torch.nn.functional.normalize(plain + turned, dim=1).numpy()
    assert np.abs(plain.numpy() - expected).max() > 1e-3
    with Embedder.load(output) as embedder:
        assert embedder.spec.training["mirrored"] is True
        rows = embedder.embed(images, color="rgb")
        np.testing.assert_allclose(rows, expected, atol=1e-4)
        np.testing.assert_allclose(embedder.embed(images[:, :, ::-1], color="rgb"), rows, atol=1e-4)
    # What is trained on from it is the network itself, with one row for each side.
    start, again = Start.load(output), build_network(load_genotype("auto_reid_2019"), CONFIG.network, 3)
    start.fill(again, CONFIG.network, images)
    with torch.no_grad():
        torch.testing.assert_close(
            again.eval().embed(normalise(torch.from_numpy(images))), plain, atol=1e-5, rtol=0
        )


def test_halfway_between_two_checkpoints_are_the_means_of_their_weights(saved: Path, tmp_path: Path) -> None:
    state, path = checkpoint.load(saved), tmp_path / "other.pt"
    for value in state["average"].values():
        if value.is_floating_point():
            value.add_(1)
    config = {**state["config"], "name": "other", "terms": "for others only"}
    people = {"classifier.weight": torch.zeros(9, 16)}  # of other people, whom no export knows
    weights = {**state["average"], **people}
    checkpoint.save({**state, "config": config, "people": 9, "average": weights}, path)
    output = tmp_path / "between.onnx"
    done = CliRunner().invoke(cli, [str(saved), "-o", str(output), "--halfway", str(path)])
    assert done.exit_code == 0, done.output
    alone = read_checkpoint(saved)
    between = halfway(read_checkpoint(saved), read_checkpoint(path))
    for (name, value), moved in zip(
        alone.network.state_dict().items(), between.network.state_dict().values(), strict=True
    ):
        shift = 0.5 if value.is_floating_point() and name != "classifier.weight" else 0
        torch.testing.assert_close(moved, value + shift, msg=name)
    with Embedder.load(output) as embedder:
        spec = embedder.spec
    assert spec.training["halfway"]["name"] == "other"
    assert spec.training["halfway"]["data"] == spec.training["data"]
    assert spec.terms == "for tests only; halfway to other: for others only"
    assert not any(key.startswith("validation") for key in spec.metrics)  # they are the run's, not the mean's


def test_terms_are_said_once_however_many_weights_they_came_by(saved: Path, tmp_path: Path) -> None:
    state, path = checkpoint.load(saved), tmp_path / "other.pt"
    before = {"name": "before", "terms": "for tests only; started from older: not for sale"}
    checkpoint.save({**state, "init": before}, path)
    assert read_checkpoint(path).spec.terms == "for tests only; started from before: not for sale"
    assert (
        halfway(read_checkpoint(path), read_checkpoint(saved)).spec.terms == read_checkpoint(path).spec.terms
    )
    assert (
        halfway(read_checkpoint(saved), read_checkpoint(path)).spec.terms
        == "for tests only; halfway to small: not for sale"
    )


def test_there_is_no_halfway_between_two_shapes(saved: Path, tmp_path: Path) -> None:
    state, path = checkpoint.load(saved), tmp_path / "other.pt"
    network = replace(CONFIG.network, channels=8)
    weights = build_network(load_genotype("auto_reid_2019"), network, state["people"]).state_dict()
    config = {**state["config"], "network": {**state["config"]["network"], "channels": 8}}
    checkpoint.save({**state, "config": config, "average": weights}, path)
    done = CliRunner().invoke(cli, [str(saved), "-o", str(tmp_path / "x.onnx"), "--halfway", str(path)])
    assert isinstance(done.exception, InputError)
    assert "'channels': 6" in str(done.exception) and "'channels': 8" in str(done.exception)
    assert not (tmp_path / "x.onnx").exists()


def test_parity_is_measured_at_every_batch_size_and_reported(exported: Path) -> None:
    report = exported.with_suffix(".parity.md").read_text()
    for batch in parity.BATCHES:
        assert f"| random | {batch} |" in report
    assert "FAILED" not in report


def test_real_crops_take_part_when_a_folder_is_named(saved: Path, crop_folder: Path) -> None:
    output = saved.with_name("with_crops.onnx")
    done = CliRunner().invoke(cli, [str(saved), "-o", str(output), "--crops", str(crop_folder)])
    assert done.exit_code == 0, done.output
    assert "| real | 32 |" in done.output


def test_a_file_that_differs_from_its_network_is_refused(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_another(trained: Trained, path: Path) -> None:
        with torch.no_grad():
            trained.network.bottleneck.weight[0] *= -1
            write_onnx(trained, path)
            trained.network.bottleneck.weight[0] *= -1

    monkeypatch.setattr("export.to_onnx.write_onnx", write_another)
    output = tmp_path / "model.onnx"
    output.write_bytes(b"the file from before")
    done = CliRunner().invoke(cli, [str(saved), "-o", str(output)])
    assert isinstance(done.exception, ModelError)
    assert "no file was written" in str(done.exception)
    assert output.read_bytes() == b"the file from before"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_missing_package_is_named_with_the_command(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.__main__.find_spec", lambda name: None)
    done = CliRunner().invoke(cli, [str(saved), "-o", "model.onnx"])
    assert (
        str(done.exception)
        == "torch is not installed; install it with: pip install 'autoreid-deploy[search]'"
    )


def test_nan_is_no_parity() -> None:
    assert not parity.Parity("random", 1, float("nan"), float("nan")).holds
    with pytest.raises(ModelError, match="parity failed"):
        parity.require([parity.Parity("random", 1, 2e-4, 0.99999)])


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_another_file_is_refused_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="checkpoint") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_refused(saved: Path, tmp_path: Path) -> None:
    state = checkpoint.load(saved)
    state["config"]["network"]["channels"] = 9
    checkpoint.save(state, tmp_path / "last.pt")
    with pytest.raises(InputError, match="do not fit"):
        read_checkpoint(tmp_path / "last.pt")


def test_a_calibration_comes_with_the_export_and_changes_nothing_else(
    saved: Path, exported: Path, tmp_path: Path
) -> None:
    draw_people(tmp_path / "crops", people=8)
    (tmp_path / "ids.txt").write_text("0001\n0002\n0003\n0004\n0005\n0006\n0007\n")
    output = tmp_path / "calibrated.onnx"
    command = [str(saved), "-o", str(output), "--calibrate", str(tmp_path / "crops")]
    done = CliRunner().invoke(cli, [*command, "--split", str(tmp_path / "ids.txt")])
    assert done.exit_code == 0, done.output
    with Embedder.load(output) as embedder:
        table = Calibration.from_dict(embedder.spec.calibration)
        assert embedder.id in output.with_suffix(".parity.md").read_text()
    assert (table.people, table.source) == (7, "crops, the people of ids.txt")
    again = tmp_path / "again.onnx"
    again.write_bytes(exported.read_bytes())
    assert calibrate(again, tmp_path / "crops", tmp_path / "ids.txt") == table
    before, after = onnx.load(exported), onnx.load(again)
    assert before.graph == after.graph
    props = [{prop.key: prop.value for prop in model.metadata_props} for model in (before, after)]
    assert [key for key in props[0] if props[0][key] != props[1][key]] == ["calibration"]


def test_people_that_the_crops_do_not_show_are_refused(
    saved: Path, crop_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "ids.txt").write_text("7777\n")
    output = tmp_path / "model.onnx"
    command = [str(saved), "-o", str(output), "--calibrate", str(crop_folder)]
    done = CliRunner().invoke(cli, [*command, "--split", str(tmp_path / "ids.txt")])
    assert isinstance(done.exception, InputError) and "none of its 1 people" in str(done.exception)
    assert not output.exists()
    few = CliRunner().invoke(cli, command)
    assert isinstance(few.exception, InputError) and "at least 5 people" in str(few.exception)
    alone = CliRunner().invoke(cli, [*command[:3], "--split", str(tmp_path / "ids.txt")])
    assert alone.exit_code == 2
