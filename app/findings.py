"""What pydantic finds wrong with a form, in the reader's language. Its own English sentences are marked here with the
names of what they carry; whatever it says besides stays English.
"""

from typing import Any

from app.translation import _, retold

FINDINGS = (
    _("Field required"),
    _("Extra inputs are not permitted"),
    _("Input should be greater than {gt}"),
    _("Input should be greater than or equal to {ge}"),
    _("Input should be less than {lt}"),
    _("Input should be less than or equal to {le}"),
    _("Input should be a finite number"),
    _("Input should be {expected}"),
    _("Input should be a valid string"),
    _("Input should be a valid number"),
    _("Input should be a valid number, unable to parse string as a number"),
    _("Input should be a valid integer"),
    _("Input should be a valid integer, unable to parse string as an integer"),
    _("Input should be a valid integer, got a number with a fractional part"),
    _("Input should be a valid boolean, unable to interpret input"),
    _("Input should be a valid list"),
    _("Input should be a valid dictionary"),
    _("Input should be a valid UUID, {error}"),
    _("Input should be in a valid time format, {error}"),
    _("String should have at least {min_length} characters"),
    _("String should have at least {min_length} character"),
    _("String should have at most {max_length} characters"),
    _("String should match pattern '{pattern}'"),
    _("{field_type} should have at least {min_length} items after validation, not {actual_length}"),
    _("{field_type} should have at least {min_length} item after validation, not {actual_length}"),
    _("{field_type} should have at most {max_length} items after validation, not {actual_length}"),
)


def reason_of(found: Any) -> str:
    """found: one of pydantic's findings."""
    return retold(str(found["msg"]).removeprefix("Value error, "))
