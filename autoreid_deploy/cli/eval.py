"""`reid-eval`: how well a model finds people again on the user's own crops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autoreid_deploy.cli.common import bundled, entry_point, json_option, print_json, progress, shown
from autoreid_deploy.errors import CropError, InputError
from autoreid_deploy.model import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from autoreid_deploy.embedder import Embedder, Failure
    from autoreid_deploy.metrics import Evaluation
    from autoreid_deploy.records import Record

EXAMPLES = """\b
Examples:
  reid-eval query/ gallery/
  reid-eval crops/
  reid-eval market/ --split val_ids.txt --json
  reid-eval query/ gallery/ --rerank
  reid-eval query/ gallery/ --centred
  reid-eval CUHK01/campus --names cuhk01 --protocol single-shot
"""

PRINTED_RANKS = (1, 5, 10)
HELDOUT, SINGLE_SHOT = "heldout", "single-shot"
RERANKED = "k-reciprocal encoding over all queries and gallery crops together, k1=20, k2=6, lambda=0.3"
CENTRED = (
    "rows without the mean of their camera in the gallery, drawn to that of all where a camera has few crops"
)

# What else is told where it was asked for: by its key in JSON, what the table calls it and its rule.
OTHERS = {"reranked": ("re-ranked", RERANKED), "centred": ("centred", CENTRED)}


@dataclass(frozen=True)
class Trial:
    """Embedded crops that ask and that answer, the rule by which they were chosen, and how they are compared."""

    query: Sequence[Record]
    query_rows: NDArray[np.float32]
    gallery: Sequence[Record]
    gallery_rows: NDArray[np.float32]
    rule: str
    reranked: bool = False

    def evaluate(self, max_rank: int) -> Evaluation:
        """Score all of it, by the distances as they are or by the re-ranked ones."""
        from autoreid_deploy.distances import distance_blocks
        from autoreid_deploy.metrics import evaluate_records
        from autoreid_deploy.rerank import rerank_blocks

        return evaluate_records(
            self.query_rows,
            self.query,
            self.gallery_rows,
            self.gallery,
            max_rank=max_rank,
            compare=rerank_blocks if self.reranked else distance_blocks,
        )

    def centred(self) -> Trial:
        """The same without what is common to the cameras of the gallery, as `reid-query --centred` compares."""
        from autoreid_deploy.centring import CameraMeans

        sides = [(self.query_rows, self.query), (self.gallery_rows, self.gallery)]
        means = CameraMeans.of(self.gallery_rows, [record.camid for record in self.gallery])
        asks, answers = (means.centred(rows, [record.camid for record in side]) for rows, side in sides)
        return replace(self, query_rows=asks, gallery_rows=answers)

    def draws(self) -> list[Trial]:
        """Draw half of the people of a single-shot trial, ten times."""
        from autoreid_deploy.protocols import half_draws

        return [self._take(half) for half in half_draws(len(self.query))]

    def _take(self, pairs: NDArray[np.intp]) -> Trial:
        query, gallery = ([side[i] for i in pairs] for side in (self.query, self.gallery))
        return replace(
            self,
            query=query,
            query_rows=self.query_rows[pairs],
            gallery=gallery,
            gallery_rows=self.gallery_rows[pairs],
        )


@click.command(epilog=EXAMPLES)
@click.argument("query", type=click.Path(path_type=Path))
@click.argument("gallery", type=click.Path(path_type=Path), required=False)
@click.option(
    "--split", type=click.Path(path_type=Path), help="File of person ids, one a line; only these take part."
)
@click.option(
    "--protocol",
    type=click.Choice([HELDOUT, SINGLE_SHOT]),
    help="How one folder is split. heldout (the default): the first crop by name of each person in each "
    "camera asks, all answer. single-shot: the first by one camera asks, the first by the other answers.",
)
@click.option(
    "--names",
    type=click.Choice(["auto", "market", "cuhk01", "cuhk03", "plain"]),
    default="auto",
    show_default=True,
    help="How file names tell person and camera.",
)
@click.option(
    "--model",
    metavar="NAME|FILE",
    default=DEFAULT_MODEL,
    show_default=True,
    help=f"A bundled model ({bundled()}) or an ONNX file.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:N, openvino or tensorrt.")
@click.option(
    "--rerank",
    is_flag=True,
    help="Give the figures after k-reciprocal re-ranking too (k1 = 20, k2 = 6, lambda = 0.3).",
)
@click.option(
    "--centred",
    is_flag=True,
    help="Give the figures without what is common to each camera of the gallery too.",
)
@click.option("--max-rank", type=click.IntRange(1), default=50, show_default=True, help="Length of the CMC.")
@click.option("--strict", is_flag=True, help="Stop at a crop that can't be read; else it is left out.")
@json_option
def cli(
    query: Path,
    gallery: Path | None,
    split: Path | None,
    protocol: str | None,
    names: str,
    model: str,
    device: str,
    rerank: bool,
    centred: bool,
    max_rank: int,
    strict: bool,
    as_json: bool,
) -> None:
    """Measure how well a model finds people again: rank-1/5/10, mAP and mINP.

    QUERY and GALLERY are folders of crops, or CSV files with the columns path,pid,camid. Without GALLERY the
    crops of one folder ask and answer.
    """
    if gallery and (split or protocol):
        raise click.UsageError("--split and --protocol are for one folder; leave them out, or GALLERY")
    asking = _read(query, names, split)
    answering = _read(gallery, names) if gallery else []
    from autoreid_deploy.embedder import Embedder

    failures: list[Failure] = []
    with Embedder.load(model, device=device) as embedder:
        asking, rows = _embed(embedder, asking, failures, strict)
        if gallery:
            answering, gallery_rows = _embed(embedder, answering, failures, strict)
            trial = Trial(asking, rows, answering, gallery_rows, "given query and gallery")
        else:
            trial = _split(asking, rows, protocol or HELDOUT)
    report = _report(trial, max_rank, protocol == SINGLE_SHOT, rerank, centred)
    report |= {"model": embedder.id, "unreadable": [{"path": f.path, "reason": f.reason} for f in failures]}
    if as_json:
        print_json(report)
    else:
        _print(report)


def _read(source: Path, names: str, split: Path | None = None) -> list[Record]:
    """Scan a source, keep the listed people, and complain before the work rather than after it."""
    from autoreid_deploy.protocols import people_of
    from autoreid_deploy.records import read_ids, scan

    records = scan(source, names=names)
    if split:
        ids, known = read_ids(split), {record.pid for record in records}
        if missing := ids - known:
            message = (
                f"{split}: {len(missing)} of {len(ids)} people are not in {source}, such as {min(missing)}"
            )
            if missing == ids:
                example = min((pid for pid in known if pid), default="nobody")
                raise InputError(f"{message}; people there are written like {example}")
            click.echo(shown(message), err=True)
        records = [record for record in records if record.pid in ids]
    people_of(records)
    return records


def _embed(
    embedder: Embedder, records: list[Record], failures: list[Failure], strict: bool
) -> tuple[list[Record], NDArray[np.float32]]:
    """Embed what can be read; the rest is told, added to `failures` and left out."""
    import numpy as np

    rows = np.empty((len(records), embedder.spec.dim), np.float32)
    readable = np.ones(len(records), dtype=bool)
    with progress(len(records)) as advance:
        for batch in embedder.stream([record.path for record in records]):
            for failure in batch.failures:
                if strict:
                    raise CropError(failure.path, failure.reason)
                click.echo(shown(f"left out {failure.path}: {failure.reason}"), err=True)
                failures.append(failure)
                readable[failure.index] = False
            rows[batch.start : batch.start + len(batch.rows)] = batch.rows
            advance(len(batch.rows))
    if not readable.any():
        raise InputError(f"none of the {len(records)} crops can be read")
    return [record for record, good in zip(records, readable, strict=True) if good], rows[readable]


def _split(records: list[Record], rows: NDArray[np.float32], protocol: str) -> Trial:
    from autoreid_deploy.protocols import heldout_split, single_shot_split

    if protocol == HELDOUT:
        query, gallery = heldout_split(records)
        rule = "heldout: the first crop by name of each person in each camera asks, all answer"
    else:
        query, gallery = single_shot_split(records)
        cameras = records[query[0]].camid, records[gallery[0]].camid
        rule = "single-shot: the first crop by name by camera {} asks, the first by camera {} answers".format(
            *cameras
        )
    return Trial([records[i] for i in query], rows[query], [records[i] for i in gallery], rows[gallery], rule)


def _report(trial: Trial, max_rank: int, with_draws: bool, rerank: bool, centred: bool) -> dict[str, Any]:
    result = trial.evaluate(max_rank)
    rule = f"{trial.rule}; Market-1501's junk rule (same person, same camera: left out)"
    if any(record.camid is None for record in (*trial.query, *trial.gallery)):
        rule += "; without a camera only the query itself is left out"
    report = {
        **_figures(result),
        "queries": result.queries,
        "skipped": result.skipped,
        "gallery": len(trial.gallery),
        "people": len({record.pid for record in trial.query}),
        "protocol": rule,
        "cmc": result.cmc.tolist(),
    }
    with_draws = with_draws and len(trial.query) > 1
    if with_draws:
        report["draws"] = _mean(trial.draws(), max_rank)
    others = {"reranked": replace(trial, reranked=True)} if rerank else {}
    others |= {"centred": trial.centred()} if centred else {}
    for key, other in others.items():
        label, rule = OTHERS[key]
        result = other.evaluate(max_rank)
        report[key] = {"rule": rule, **_figures(result), "cmc": result.cmc.tolist()}
        report["protocol"] += f"; {label}: {rule}"
        if with_draws:
            report[key]["draws"] = _mean(other.draws(), max_rank)
    return report


def _mean(draws: list[Trial], max_rank: int) -> dict[str, Any]:
    each = [_figures(draw.evaluate(max_rank)) for draw in draws]
    mean = {key: sum(figures[key] for figures in each) / len(each) for key in each[0]}
    return {"count": len(each), "people": len(draws[0].query), **mean}


def _figures(result: Evaluation) -> dict[str, float]:
    ranks = {f"rank{r}": result.rank(r) for r in PRINTED_RANKS if r <= len(result.cmc)}
    return {**ranks, "mAP": result.mAP, "mINP": result.mINP}


def _print(report: dict[str, Any]) -> None:
    columns = [key for key in (*(f"rank{r}" for r in PRINTED_RANKS), "mAP", "mINP") if key in report]
    lines = {f"all {report['people']:,} people": report}
    others = {label: report[key] for key, (label, _) in OTHERS.items() if key in report}
    lines |= others
    for label, figures in {"": report, **others}.items():
        if draws := figures.get("draws"):
            lines[f"{label}{', ' if label else ''}mean of {draws['count']} draws of {draws['people']:,}"] = (
                draws
            )
    width = max(map(len, lines))
    click.echo(f"{'percent':{width}}" + "".join(f"{key.replace('rank', 'rank-'):>9}" for key in columns))
    for label, figures in lines.items():
        click.echo(f"{label:{width}}" + "".join(f"{100 * figures[key]:9.2f}" for key in columns))
    skipped = f" ({report['skipped']:,} more had no match)" if report["skipped"] else ""
    left_out = f", {len(report['unreadable']):,} unreadable left out" if report["unreadable"] else ""
    click.echo(
        f"{report['queries']:,} queries{skipped} against {report['gallery']:,} gallery crops{left_out}; "
        f"{report['model']}; {report['protocol']}"
    )


main = entry_point(cli)
