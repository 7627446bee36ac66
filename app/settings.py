"""Every setting of the installation, read once from the environment (`HONE_*`) and an optional `.env` file."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.translation import _

PREFIX, FILE = "HONE_", ".env"
# Read by `hone up` and make, not by the application.
OTHERS = {"HONE_UP", "HONE_TEST_DATABASE_URL"}


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=FILE, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    home: Path = Field(default=Path("var"), description="Folder of Postgres, checkpoints, datasets, runs and media.")
    database_url: SecretStr | None = Field(
        default=None, description="A Postgres server of your own; empty starts the embedded one below home."
    )
    host: str = Field(default="127.0.0.1", description="Address the web server listens on.")
    port: int = Field(default=8765, ge=0, le=65535, description="Port of the web server; 0 takes a free one.")
    public_url: AnyHttpUrl | None = Field(
        default=None, description="Address people type, when a proxy stands before the web server."
    )
    trusted_proxies: str = Field(
        default="127.0.0.1,::1",
        description="Addresses or networks of proxies, by commas: what they say of a client's address is believed.",
    )
    web_processes: int = Field(default=2, ge=1, le=64, description="Web server processes.")
    secret_key: SecretStr | None = Field(
        default=None, description="Signs completion handles; made once below home when empty."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N, for sampling and training.")
    threads: int | None = Field(default=None, ge=1, description="CPU threads of torch; empty leaves torch's choice.")
    track: Literal["wandb", "trackio"] | None = Field(
        default=None, description="wandb or trackio: where figures of trainings also go; empty keeps them here."
    )
    sampler_port: int = Field(default=8766, ge=0, le=65535, description="Loopback port of the sampler's HTTP door.")
    smtp_url: SecretStr | None = Field(
        default=None, description="smtp[s]://user:password@host:port for invitations; empty shows links to copy."
    )
    mail_from: str = Field(default="hone@localhost", description="Sender of mails.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Lowest level logged.")
    max_body_mb: int = Field(default=64, ge=1, description="Largest request body in MiB; forms are held to 2.")
    max_checkpoint_gb: int = Field(
        default=40, ge=1, description="Largest checkpoint that is fetched from a hub, in GB."
    )
    max_media_mb: int = Field(
        default=64, ge=1, description="Largest picture, sound or film that is fetched from an address, in MiB."
    )
    lease_minutes: int = Field(default=15, ge=1, le=720, description="How long a shown task is kept for a person.")

    @field_validator("trusted_proxies")
    @classmethod
    def proxies_are_named(cls, value: str) -> str:
        """`*` would let anybody write their own address, and with it escape every limit on tries to sign in."""
        for part in value.split(","):
            try:
                ip_network(part.strip())
            except ValueError:
                raise ValueError(_("name addresses or networks, such as 10.0.0.0/8, separated by commas")) from None
        return value


@cache
def get_settings() -> Settings:
    return Settings()


def address_of(settings: Settings, port: int | None = None, reached: str | None = None) -> str:
    """Where people find the web server, without a slash at its end.

    port: the one it listens on where the setting is 0. reached: how a browser has reached us; only for what that very
    browser is shown, never for a mail, since anybody can write a request's Host header.
    """
    if settings.public_url:
        return str(settings.public_url).rstrip("/")
    if reached:
        return reached.rstrip("/")
    host = reachable(settings.host)
    return f"http://[{host}]:{port or settings.port}" if ":" in host else f"http://{host}:{port or settings.port}"


def reachable(host: str) -> str:
    """A host to connect to where the server listens on all of them."""
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104


@dataclass(frozen=True)
class Source:
    """One setting as `hone doctor` shows it."""

    name: str
    value: str  # secrets are masked
    origin: str  # default, environment or .env


def sources(settings: Settings) -> Iterator[Source]:
    """Every setting with its value and where the value came from."""
    environment, file = _named(os.environ), _named(dotenv_values(FILE))
    for field in Settings.model_fields:
        name = f"{PREFIX}{field}".upper()
        origin = _("environment") if name in environment else FILE if name in file else _("default")
        value = getattr(settings, field)
        yield Source(name, "" if value is None else str(value), origin)


def unknown_names() -> list[str]:
    """Variables that look like settings and are none: most often a slip of the pen."""
    known = {f"{PREFIX}{field}".upper() for field in Settings.model_fields} | OTHERS
    given = _named(os.environ) | _named(dotenv_values(FILE))
    return sorted(name for name in given if name not in known)


def _named(variables: "os._Environ[str] | dict[str, str | None]") -> set[str]:
    """The names of ours that hold something; an empty one counts as not set."""
    return {name.upper() for name, value in variables.items() if value and name.upper().startswith(PREFIX)}


def in_words(error: ValidationError) -> str:
    """What is wrong with which setting, a line each; the values are not repeated, since some are secret."""
    return "\n".join(
        f"{PREFIX}{'.'.join(map(str, found['loc']))}".upper() + f": {found['msg']}" for found in error.errors()
    )
