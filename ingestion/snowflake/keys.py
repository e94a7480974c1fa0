"""Key pairs: private ones are files of ours, public ones are given to users by bootstrap."""

import os
from base64 import b64encode
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ingestion.errors import SettingsError
from ingestion.settings import SnowflakeSettings, SnowflakeUser

# Snowflake's least; more costs nothing that one login a command would notice.
BITS = 2048
_NEW_BITS = 3072


def read(settings: SnowflakeSettings, who: SnowflakeUser) -> rsa.RSAPrivateKey:
    """Return a user's private key.

    Raises:
        SettingsError: no path is set, or what is there is no RSA key that the passphrase opens; the
            text names the variable and never quotes the file.
    """
    path, passphrase = settings.key(who)
    name = settings.variable(f"{who}_private_key_path")
    try:
        found = serialization.load_pem_private_key(path.read_bytes(), passphrase)
    except OSError as error:
        raise SettingsError(f"{name}: {path} cannot be read: {error.strerror}") from error
    except TypeError as error:  # a passphrase where none is needed, or none where one is
        is_encrypted = passphrase is None
        state = (
            "is encrypted, and the passphrase is not set" if is_encrypted else "is not encrypted"
        )
        variable = settings.variable(f"{who}_private_key_passphrase")
        raise SettingsError(f"{variable}: the key {path} {state}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(
            f"{name}: expected a private key in PEM form that its passphrase opens, found none "
            f"in {path}"
        ) from error
    if not isinstance(found, rsa.RSAPrivateKey) or found.key_size < BITS:
        raise SettingsError(f"{name}: expected an RSA key of {BITS} bits or more in {path}")
    return found


def public_text(key: rsa.RSAPrivateKey) -> str:
    """Return the public key as `alter user … set rsa_public_key` takes it: base64 on one line."""
    der = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return b64encode(der).decode()


def make(path: Path) -> rsa.RSAPrivateKey:
    """Write a new private key, not encrypted, that its owner alone can read.

    Raises:
        FileExistsError: there is a file already; a key that a user has must not be lost.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=_NEW_BITS)
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    return key
