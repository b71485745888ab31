"""On whose account a request goes: the scheduler gives every tenant a fair share."""

from hashlib import sha256

from sanic import Request

from frontend.api_keys import account_digest

MAX_USER_CHARS = 64  # a longer name is cut to a hash: names travel with every request
_HASH_CHARS = 24  # stored responses are kept apart by it, too: nobody finds another key with the same one


def tenant_of(request: Request, user: str | None) -> str:
    """The API key's account, and in it the user that the request names. "": neither is said.

    The key appears as a short hash of its digest. Two keys that name the same user are two tenants, or one could use
    up the other's share.
    """
    digest = account_digest(request)
    account = sha256(digest).hexdigest()[:_HASH_CHARS] if digest else ""
    if not user:
        return account
    if len(user) > MAX_USER_CHARS:
        user = "#" + sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
    user = user.encode("utf-8", "replace").decode()  # JSON escapes can smuggle in what no message can carry
    return f"{account}/{user}" if account else user
