"""Reading a signed token; apart from auth because PyJWT and cryptography are a tenth of a second of imports."""

from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from voicesession_agent.auth import Reason, RefusedError


def claims(token: str, public_key: bytes, audience: str) -> dict[str, Any]:
    """The claims of an Ed25519 JWT for `audience`, with numbers in iat and exp; their times are not judged here.

    Raise RefusedError.
    """
    try:
        return _decode(token, Ed25519PublicKey.from_public_bytes(public_key), audience)
    except jwt.InvalidSignatureError as error:
        raise RefusedError(Reason.SIGNATURE) from error
    except jwt.InvalidAudienceError as error:
        raise RefusedError(Reason.AUDIENCE) from error
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise RefusedError(Reason.MALFORMED) from error


def _decode(token: str, key: Ed25519PublicKey, audience: str) -> dict[str, Any]:
    decoded: dict[str, Any] = jwt.decode(
        token,
        key=key,
        algorithms=["EdDSA"],
        audience=audience,
        options={"require": ["aud", "iat", "exp", "jti"], "verify_exp": False, "verify_iat": False},
    )
    if not all(isinstance(decoded[name], int | float) for name in ("iat", "exp")):
        raise TypeError("iat and exp are numbers")
    return decoded
