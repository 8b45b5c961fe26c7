"""Which codes are held back in a region that was rebuilt: those that somebody may have redeemed unseen.

A code is redeemed once: what was redeemed in the region's last moments may stand in no copy.
"""

from datetime import datetime

from mesh import Mesh, settings
from mesh.envelope import derive_id
from mesh.events.code import CodeChanged
from mesh.operations.region_bound import newest
from mesh.publish import Cause
from services.promotions.code_state import withdrawn
from services.promotions.codes import Codes
from services.promotions.promotion_settings import PromotionSettings


async def codes(mesh: Mesh, lost_at: datetime) -> str:
    """Withdraw the codes that people have and that are free; one that an order has reserved stays with it."""
    reason = f"{mesh.region} was lost at {lost_at:%Y-%m-%d %H:%M:%S} UTC: nobody knows whether it was redeemed"
    codes = Codes(mesh, settings.read(PromotionSettings))
    for key, code in (await newest(mesh, CodeChanged, mesh.region)).items():
        if code.state == "free":
            cause = Cause(id=derive_id(reason, key), source="promotions.hold-back")
            await codes.change(key, lambda found: withdrawn(found, reason), cause)
    states = (await newest(mesh, CodeChanged, mesh.region)).values()
    count = sum(code.state == "withdrawn" and code.reason == reason for code in states)
    return f"{count:,} codes that people have are withdrawn: give out others to those who ask" if count else ""
