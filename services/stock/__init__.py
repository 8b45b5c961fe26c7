"""Keeps the stock of a region's warehouses, reserves it for orders and sells it: no unit is sold twice."""

from mesh import Service
from mesh.events.stock import (
    StockCommandApplied,
    StockLevelChanged,
    StockLoanGranted,
    StockLoanReceived,
    StockLoanRequested,
    StockLowReached,
    StockReplenished,
    StockReservationChanged,
    StockReservationExpired,
    StockReservationPostponed,
)

service = Service(
    "stock",
    publishes=(
        StockCommandApplied,
        StockLevelChanged,
        StockLoanGranted,
        StockLoanReceived,
        StockLoanRequested,
        StockLowReached,
        StockReplenished,
        StockReservationChanged,
        StockReservationExpired,
        StockReservationPostponed,
    ),
    timers=(StockReservationExpired, StockReservationPostponed),
)
