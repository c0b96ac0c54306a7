"""Specs and registries: `r1(weight=10)` names a part and its settings.

Suites, the command line and tables use specs. A registry maps names to classes without importing them, so
listing the parts does not import torch.
"""

from .part_errors import MAX_ERROR_CHARACTERS as MAX_ERROR_CHARACTERS
from .part_errors import MISTAKES as MISTAKES
from .part_errors import PLUGIN_GROUP_PREFIX as PLUGIN_GROUP_PREFIX
from .part_errors import LocalPart as LocalPart
from .part_errors import PartError as PartError
from .part_errors import PluginError as PluginError
from .part_errors import PluginPart as PluginPart
from .part_errors import describe_exception as describe_exception
from .part_errors import entry_points_of as entry_points_of
from .part_errors import explain_error as explain_error
from .part_errors import find_class_line as find_class_line
from .part_errors import find_local_part as find_local_part
from .part_errors import find_plugin_part as find_plugin_part
from .part_errors import plugin_parts as plugin_parts
from .part_sources import find_module as find_module
from .part_sources import read_about as read_about
from .part_sources import read_signature as read_signature
from .registry import Registry as Registry
from .registry import import_target as import_target
from .registry import require_initialized as require_initialized
from .settings import NOT_A_SETTING as NOT_A_SETTING
from .settings import TYPE_WORDS as TYPE_WORDS
from .settings import coerce_setting as coerce_setting
from .settings import is_setting_type as is_setting_type
from .settings import settings_of as settings_of
from .specs import BACKSLASH_REMEDY as BACKSLASH_REMEDY
from .specs import MAX_ABS_SETTING as MAX_ABS_SETTING
from .specs import MAX_SPEC_CHARACTERS as MAX_SPEC_CHARACTERS
from .specs import MAX_SUGGESTED_NAMES as MAX_SUGGESTED_NAMES
from .specs import SPEC_GRAMMAR as SPEC_GRAMMAR
from .specs import SPEC_PATTERN as SPEC_PATTERN
from .specs import Spec as Spec
from .specs import SpecError as SpecError
from .specs import Value as Value
from .specs import format_literal as format_literal
from .specs import is_ascii_outside_quotes as is_ascii_outside_quotes
from .specs import parse_spec as parse_spec
from .specs import shorten as shorten
from .specs import split_specs as split_specs
from .specs import suggest as suggest
