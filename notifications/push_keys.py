"""Push keys: the command that makes the shop's key for web push."""


def push_keys() -> None:
    """Make a key for web push (VAPID), and print the settings that belong to it.

    Browsers subscribe for the public half: with another key all of them have to subscribe again.
    """
    from notifications.channels.push.vapid import new_keys  # noqa: PLC0415  other commands need no keys

    private, public = new_keys()
    print(
        "Set for `channels`, which sends (the key as a secret: whoever has it can send notifications as the shop):",
        f"CARTMESH_PUSH_PRIVATE_KEY={private}",
        "CARTMESH_PUSH_CONTACT=mailto:shop@example.com   # an address of yours, for the push services",
        "Set for `channels`, `offers`, `studio` and the shop's pages:",
        f"CARTMESH_PUSH_PUBLIC_KEY={public}",
        sep="\n",
    )
