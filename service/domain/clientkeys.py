"""Keyed hashes of phones and e-mails: whether two clients are one, without keeping the values.

HMAC-SHA256 under a random key of the account, truncated. A phone is its last ten digits (the
country's prefix is written in many ways), an e-mail is compared in lower case.
"""

import hmac
from collections.abc import Iterable
from hashlib import sha256

SECRET = "client_key"  # noqa: S105 - the name under which an account's credentials hold the key
PHONE_DIGITS = 10
MOST_KEYS = 20  # of one person or company: more is a directory, not a client
_HEX_DIGITS = 24
_MOST_MAIL = 254


def client_keys(
    secrets: dict[str, str],
    phones: Iterable[object],
    emails: Iterable[object],
    persons: Iterable[str] = (),
) -> list[str] | None:
    """The keys of a person or company, in order; None = the account has no key to hash with.

    `persons`: ids of the CRM's own, of an inquiry that names whose it is.
    """
    secret = secrets.get(SECRET)
    if not secret:
        return None
    values = {f"phone:{number}" for phone in phones if (number := normal_phone(phone))}
    values |= {f"email:{mail}" for email in emails if (mail := normal_email(email))}
    values |= {f"person:{person}" for person in persons}
    made = {hmac.new(secret.encode(), value.encode(), sha256).hexdigest() for value in values}
    return sorted(key[:_HEX_DIGITS] for key in made)[:MOST_KEYS]


def phone_key(secrets: dict[str, str], phone: object) -> str | None:
    """The key of a number; None = it is none, or the account has no key to hash with."""
    found = client_keys(secrets, [phone], ())
    return found[0] if found else None


def normal_phone(value: object) -> str:
    """The last ten digits of a number; "" = no number, or one that nobody has (all alike)."""
    digits = "".join(filter(str.isdecimal, str(value or "")))
    digits = "".join(str(int(digit)) for digit in digits[-PHONE_DIGITS:])
    return digits if len(digits) == PHONE_DIGITS and len(set(digits)) > 1 else ""


def normal_email(value: object) -> str:
    """The address in lower case; "" = none."""
    mail = str(value or "").strip().casefold()
    name, at, host = mail.partition("@")
    return mail if at and name and "." in host and len(mail) <= _MOST_MAIL else ""
