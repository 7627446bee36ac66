"""Every setting of the installation, read once from the environment (`HONE_*`) and an optional `.env` file."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import AnyHttpUrl, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HONE_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(default=Path("var"), description="Folder for Postgres, checkpoints, datasets and media.")
    database_url: SecretStr | None = Field(
        default=None, description="A Postgres server of your own; empty starts the embedded one below home."
    )
    host: str = Field(default="127.0.0.1", description="Address the web server listens on.")
    port: int = Field(default=8765, ge=0, le=65535, description="Port of the web server; 0 takes a free one.")
    public_url: AnyHttpUrl | None = Field(
        default=None, description="Address people type, when a proxy stands before the web server."
    )
    web_processes: int = Field(default=1, ge=1, le=64, description="Web server processes.")
    secret_key: SecretStr | None = Field(
        default=None, description="Signs completion handles; made once below home when empty."
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N, for sampling and training.")
    threads: int | None = Field(default=None, ge=1, description="CPU threads of torch; empty leaves torch's choice.")
    sampler_port: int = Field(default=8766, ge=0, le=65535, description="Loopback port of the sampler's HTTP door.")
    smtp_url: SecretStr | None = Field(
        default=None, description="smtp[s]://user:password@host:port for invitations; empty shows links to copy."
    )
    mail_from: str = Field(default="hone@localhost", description="Sender of mails.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Lowest level logged.")
    max_body_mb: int = Field(default=64, ge=1, description="Largest request body in MiB; forms are held to 2.")
    lease_minutes: int = Field(default=15, ge=1, le=720, description="How long a shown task is kept for a person.")


@cache
def get_settings() -> Settings:
    return Settings()
