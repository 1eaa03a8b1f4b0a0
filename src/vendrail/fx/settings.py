"""What can be set for foreign exchange."""

from typing import Annotated

from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import Help


class FxSettings(Record, frozen=True):
    """Where rates come from, how far they are believed, and what an exchange costs."""

    sources: Annotated[
        tuple[str, ...],
        Help(
            "Where rates are read, parted by commas: ecb, openexchangerates, frankfurter, and"
            " history, the one that is installed and needs no network."
        ),
    ] = ("history",)
    ecb_url: Annotated[str, Help("Where the European Central Bank's rates are.")] = (
        "https://www.ecb.europa.eu"
    )
    openexchangerates_url: Annotated[str, Help("Where Open Exchange Rates is.")] = (
        "https://openexchangerates.org"
    )
    openexchangerates_key: Annotated[str, Help("Our app_id there.")] = ""
    frankfurter_url: Annotated[str, Help("Where Frankfurter is; it can be your own.")] = (
        "https://api.frankfurter.dev"
    )
    fetch_s: Annotated[
        float, Meta(ge=1), Help("How often sources are read; after a failure sooner.")
    ] = 3_600.0
    timeout_s: Annotated[float, Help("How long a source may take to answer.")] = 10.0
    age_s_max: Annotated[
        int,
        Help("How old rates may be; older ones count for nothing. Banks rest at week-ends."),
    ] = 345_600
    sources_min: Annotated[
        int,
        Meta(ge=1),
        Help(
            "How many fresh sources must know both currencies; two at least where several are"
            " named. All that tell the European Central Bank's rates are one."
        ),
    ] = 1
    move_basis_points_max: Annotated[
        int,
        Meta(ge=1),
        Help(
            "How far a currency may move between two sheets of a source, in hundredths of a"
            " percent; a sheet that tells more is not believed while the one before is fresh."
        ),
    ] = 1_000
    disagreement_basis_points_max: Annotated[
        int, Help("How far a source may be from the middle, in hundredths of a percent.")
    ] = 30
    spread_basis_points: Annotated[
        int,
        Meta(ge=0, le=1_000),
        Help("What an exchange costs the buyer, in hundredths of a percent above the middle."),
    ] = 20
    quote_s: Annotated[
        int, Meta(ge=600), Help("How long a quoted price stands: ten minutes at least.")
    ] = 900
    keep_days: Annotated[int, Help("How many days a quote is kept that nobody has used.")] = 2
