"""What may come in about people. Unknown fields are refused: nobody becomes an admin by a field too many."""

import re
from datetime import date
from typing import Annotated, Literal
from unicodedata import category
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints

from app.accounts.permissions import Permission, Role
from app.lines import storable
from app.translation import LANGUAGES, _
from app.wording import SIGNS

LOCALES = list(SIGNS)
ADDRESS = re.compile(r"[^@\s<>()\[\],;:\\\"]{1,64}@[^@\s<>()\[\],;:\\\"]{1,250}")


def clean_line(text: str) -> str:
    """One line without control characters: a name goes into logs, mails and headings."""
    if any(category(sign) in {"Cc", "Cs", "Zl", "Zp"} for sign in text):
        raise ValueError(_("line breaks and control characters are not allowed"))
    shown = " ".join(text.split())
    if not shown:
        raise ValueError(_("this must not be empty"))
    return shown


def clean_address(text: str) -> str:
    """An e-mail address as its owner writes it; comparing ignores case."""
    address = clean_line(text)
    if not ADDRESS.fullmatch(address) or len(address) > 254:
        raise ValueError(_("this is not an e-mail address"))
    return address


def known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(_("{zone} is not a time zone; they are written like Europe/Paris").format(zone=name))
    return name


def known_locale(tag: str) -> str:
    """A language, or nothing: as the browser asks."""
    if tag and tag not in LOCALES:
        raise ValueError(_("{locale} is not a language we write numbers for").format(locale=tag))
    return tag


def empty_is_none(value: object) -> object:
    """An unfilled field of a browser's form arrives as an empty text."""
    return None if value == "" else value


Line = Annotated[str, Field(max_length=200), AfterValidator(clean_line)]
Email = Annotated[str, Field(max_length=300), AfterValidator(clean_address)]
Password = Annotated[SecretStr, Field(max_length=1000)]
Cohort = Annotated[Line | None, BeforeValidator(empty_is_none)]


Skill = Annotated[str, Field(max_length=60), AfterValidator(clean_line)]


def listed(value: object) -> object:
    """What a browser's text field holds, separated by commas, semicolons or line breaks; each once, in its place."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        value = value[0]
    if isinstance(value, str):
        value = [part.strip() for part in re.split(r"[,;\n]", value) if part.strip()]
    return list(dict.fromkeys(value)) if isinstance(value, list) and all(isinstance(x, str) for x in value) else value


Cohorts = Annotated[list[Line], BeforeValidator(listed), Field(max_length=50)]
MOST_SKILLS = 50
Skills = Annotated[list[Skill], BeforeValidator(listed), Field(max_length=MOST_SKILLS)]
Pseudonyms = Annotated[list[Line], BeforeValidator(listed), Field(max_length=1000)]
DayLimit = Annotated[Annotated[int, Field(ge=1, le=100_000)] | None, BeforeValidator(empty_is_none)]
TotalLimit = Annotated[Annotated[int, Field(ge=0, le=10_000_000)] | None, BeforeValidator(empty_is_none)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SignInForm(Strict):
    email: Annotated[str, Field(max_length=300)]  # any text: what is no address fits nobody
    password: Password
    next: Annotated[str, Field(max_length=2000)] = "/"


class LanguageForm(Strict):
    """A browser's choice before anybody is signed in."""

    locale: Literal[tuple(LANGUAGES)]  # type: ignore[valid-type]
    next: Annotated[str, Field(max_length=2000)] = "/"


class FirstVisitForm(Strict):
    """Who opened a sign-in link; all three are asked for until the account has a password."""

    name: Annotated[Line | None, BeforeValidator(empty_is_none)] = None
    email: Annotated[Email | None, BeforeValidator(empty_is_none)] = None
    password: Annotated[Password | None, BeforeValidator(empty_is_none)] = None


class AcceptForm(Strict):
    """Joining by invitation; name and password only from those who are not signed in."""

    name: Annotated[Line | None, BeforeValidator(empty_is_none)] = None
    password: Annotated[Password | None, BeforeValidator(empty_is_none)] = None
    consent: bool = False


class ForgotForm(Strict):
    email: Email


class NewPasswordForm(Strict):
    password: Password


class PasswordChangeForm(Strict):
    current: Password
    password: Password


class ProfileForm(Strict):
    name: Line
    zone: Annotated[str, AfterValidator(known_zone)]
    locale: Annotated[str, AfterValidator(known_locale)]


def listed_addresses(text: str) -> list[str]:
    """Addresses separated by line breaks, commas or semicolons, each once, as first written.

    :raises ValueError: with the first that is no address.
    """
    found: dict[str, str] = {}
    for part in re.split(r"[\s,;]+", text.strip()):
        if not part:
            continue
        try:
            found.setdefault(part.casefold(), clean_address(part))
        except ValueError:
            raise ValueError(_("“{address}” is not an e-mail address").format(address=part[:100])) from None
    if not found:
        raise ValueError(_("write at least one address"))
    if len(found) > 500:
        raise ValueError(_("at most 500 at a time"))
    return list(found.values())


def as_addresses(value: object) -> object:
    """A browser's text field arrives as a list of one text."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = "\n".join(value)
    return listed_addresses(value) if isinstance(value, str) else value


class InvitationForm(Strict):
    """To the installation: as an admin, or to no project yet."""

    emails: Annotated[list[Email], BeforeValidator(as_addresses), Field(min_length=1, max_length=500)]
    makes_admin: bool = False


class MemberInvitationForm(Strict):
    """To one project."""

    emails: Annotated[list[Email], BeforeValidator(as_addresses), Field(min_length=1, max_length=500)]
    role: Role = Role.annotator
    cohort: Cohort = None


class MemberForm(Strict):
    """skills: what the person can, languages among it, in the project's own words."""

    role: Role
    cohort: Cohort = None
    skills: Skills = []
    daily_limit: DayLimit = None
    total_limit: TotalLimit = None


Message = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000), AfterValidator(storable)
]


class MessageForm(Strict):
    """What one person writes to another."""

    text: Message


class AudienceForm(Strict):
    """Who is in it: those named (people, by pseudonym), and whoever is of one of the cohorts and has all the skills;
    never those in `without`. With no field filled in, everybody."""

    name: Line
    cohorts: Cohorts = []
    skills: Skills = []
    people: Pseudonyms = []
    without: Pseudonyms = []


class TokenForm(Strict):
    """project empty: every project of its owner. days empty: until it is revoked. skips_reading: tasks are handed to it
    though a change of the rules was not read."""

    name: Line
    role: Annotated[Role | None, BeforeValidator(empty_is_none)] = None
    project: Annotated[UUID | None, BeforeValidator(empty_is_none)] = None
    scopes: list[Permission] = Field(default=[], max_length=len(Permission))
    days: Annotated[Annotated[int, Field(ge=1, le=3650)] | None, BeforeValidator(empty_is_none)] = 90
    skips_reading: bool = False


SearchWords = Annotated[str, Field(max_length=200), AfterValidator(lambda text: text.replace("\0", "").strip())]


class LogSearch(BaseModel):
    """What is looked for in the log. kind: how it begins (`task.`). q: in what was done, by whom or to what. since: a
    day, in UTC. An empty field of the form looks for nothing."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    q: SearchWords = ""
    kind: Annotated[str, Field(max_length=60, pattern=r"^[a-z_.]*$")] = ""
    since: Annotated[date | None, BeforeValidator(empty_is_none)] = None
    cursor: Annotated[str | None, Field(max_length=500)] = None
