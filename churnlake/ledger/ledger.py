"""The ledger: one object over all its parts."""

from churnlake.ledger.contracts import Contracts
from churnlake.ledger.deliveries import Deliveries
from churnlake.ledger.models import Models
from churnlake.ledger.runs import Runs


class Ledger(Contracts, Runs, Deliveries, Models):
    """What ran, how far it came, on which files, with which model. Open with `Ledger.open(url)`.

    It records runs and loses every dispute: what is published is decided by the warehouse alone. Several processes read
    and write it at once. Every moment is handed in as `now`, aware; a naive one is refused.
    """
