"""The feature catalogue: which features a contract yields, what each means, how it is worded. Names only, no data."""

from churnlake.features.catalogue import build_catalogue
from churnlake.features.events import main_window, tile_columns
from churnlake.features.feature import PRICE_SCALE, Aggregate, Family, Feature

__all__ = ["PRICE_SCALE", "Aggregate", "Family", "Feature", "build_catalogue", "main_window", "tile_columns"]
