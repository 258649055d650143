"""`reid-index calibrate`: learn from the labelled crops of an index what its distances mean."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autoreid_deploy.cli.common import index_option, json_option, plural, print_json, shown
from autoreid_deploy.errors import InputError

if TYPE_CHECKING:
    from autoreid_deploy.calibration import Calibration
    from autoreid_deploy.fitting import Assessment, Method, Rate

_RATES = (1e-2, 1e-3, 1e-4)


@click.command(
    epilog="""\b
Examples:
  reid-index calibrate
  reid-index calibrate --method logistic     fewer than about 1,000 pairs of one person
  reid-index calibrate --fpr 0.05 --fpr 0.001 --json"""
)
@click.option(
    "--method",
    type=click.Choice(["isotonic", "logistic"]),
    default="isotonic",
    show_default=True,
    help="isotonic follows any falling curve; logistic is steadier on few crops.",
)
@click.option(
    "--fpr",
    "fprs",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    multiple=True,
    default=_RATES,
    show_default=True,
    help="False-positive rate, per pair of crops, to show the threshold of; may be repeated.",
)
@index_option
@json_option
def calibrate(method: "Method", fprs: tuple[float, ...], index: Path, as_json: bool) -> None:
    """Learn from labelled crops how probable a match is at each distance, and keep it in the index.

    Takes crops of known people, seen by two cameras or more. What it is worth is measured on half of the people,
    after a fit on the other half; what is kept is fitted on all.
    """
    from autoreid_deploy.calibration import collapse_warning
    from autoreid_deploy.fitting import assess, fit, halves
    from autoreid_deploy.gallery import Gallery

    with Gallery.open(index) as gallery:
        with gallery.store.snapshot():
            rows = gallery.store.embeddings()[1]
            records = [row.record for row in gallery.store.stored()]
        pids, camids = [record.pid for record in records], [record.camid for record in records]
        warning = collapse_warning(rows)
        if warning:
            click.echo(f"warning: {shown(warning)}", err=True)
        calibration = fit(rows, pids, camids, method=method, source="the index's own crops")
        first, second = (
            (rows[half], [pids[i] for i in half], [camids[i] for i in half]) for half in halves(pids)
        )
        try:
            assessment, trouble = assess(fit(*first, method=method), *second, fprs=fprs), None
        except InputError as error:
            assessment, trouble = None, f"too few people to hold half of them out: {error}"
        gallery.calibration = calibration
    if as_json:
        print_json(
            {
                "index": index,
                "warning": warning,
                "method": method,
                **{key: getattr(calibration, key) for key in ("people", "genuine", "impostors", "prior")},
                "thresholds": [{"fpr": fpr, "threshold": _threshold(calibration, fpr)} for fpr in fprs],
                "held_out": assessment and asdict(assessment),
                "held_out_error": trouble,
            }
        )
        return
    _print(calibration, fprs, assessment, trouble)


def _threshold(calibration: "Calibration", fpr: float) -> float | None:
    try:
        return calibration.threshold(fpr)
    except InputError:
        return None


def _print(
    calibration: "Calibration",
    fprs: tuple[float, ...],
    assessment: "Assessment | None",
    trouble: str | None,
) -> None:
    click.echo(
        f"calibrated on {plural(calibration.people, 'person', 'people')}: {plural(calibration.genuine, 'pair')} "
        f"of one person, {plural(calibration.impostors, 'pair')} of two ({calibration.method})"
    )
    if assessment:
        click.echo(
            f"held out: {plural(assessment.people, 'person', 'people')}, Brier score {assessment.brier:.4f}, "
            f"calibration error {assessment.ece:.4f}; of best hits {assessment.hit_brier:.4f} and "
            f"{assessment.hit_ece:.4f}\n{'on people held out':>46}"
        )
    else:
        click.echo(f"nothing measured: {shown(trouble)}")
    measured = "  false positives  true positives  strangers with a hit" if assessment else ""
    click.echo(f"false positives  threshold{measured}")
    for i, fpr in enumerate(fprs):
        threshold = _threshold(calibration, fpr)
        told = "-" if threshold is None else f"{threshold:.4f}"
        click.echo(f"{_percent(fpr):>15}  {told:>9}{_measured(assessment.rates[i]) if assessment else ''}")
    if any(_threshold(calibration, fpr) is None for fpr in fprs):
        click.echo(
            f"-: cannot be told; the smallest rate that so many pairs tell is {calibration.rates[0]:.2g}"
        )


def _measured(rate: "Rate") -> str:
    return (
        f"  {_percent(rate.measured_fpr):>15}  {_percent(rate.tpr):>14}  {_percent(rate.stranger_rate):>20}"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.4g} %"
