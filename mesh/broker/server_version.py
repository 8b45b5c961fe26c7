"""The version of nats-server that Cartmesh is tested with. Others join and store; what fails there, fails quietly."""

TESTED = "2.15.1"
IMAGE_TAG = f"{TESTED}-alpine"
"""Of the image docker.io/library/nats."""


def other_version(found: str) -> str:
    """What to say of a server's version; nothing where it is the tested one."""
    if found == TESTED:
        return ""
    return (
        f"nats-server {found} is not the tested {TESTED}; on older ones links ended with `Loop detected` after restarts"
    )
