"""A second version of trades, declared as one is; Spark's workers import it by its name."""

from dataclasses import replace
from typing import Final, Literal

from msgspec import Struct, field

from ingestion.contracts.records import MESSAGE_TYPES, Decimal, Envelope, Uuid
from spark_jobs.model import Model
from spark_jobs.schemas import BARS, CORPORATE_ACTIONS, TRADES


class TradeDataV2(Struct, frozen=True, kw_only=True):
    """``price`` is called ``px`` on the wire; ``venue`` is new, and may be left out."""

    price: Decimal = field(name="px")
    size: Decimal
    exchange: str | None
    conditions: list[str]
    seq: int
    action: Literal["new", "correct", "cancel"] = "new"
    ref: Uuid | None = None
    venue: str | None = None


class TradeMessageV2(Envelope, frozen=True, kw_only=True, tag="trade.v2"):
    data: TradeDataV2


TRADES_V2: Final = replace(
    TRADES, columns={**TRADES.columns, "venue": "string"}, business=(*TRADES.business, "venue")
)
MODEL_V2: Final = Model((*MESSAGE_TYPES, TradeMessageV2), (BARS, CORPORATE_ACTIONS, TRADES_V2))
