"""The names of the subtasks, in the order and spelling of the API. It knows nothing about progress."""

from __future__ import annotations

SUBTASKS = (
    "CREATE_CLOUD_SERVER",
    "SSL_CONFIG",
    "ATTACH_AGENT_IMAGE",
    "DETTACH_AGENT_IMAGE",
    "FORMAT_DISK_LINUX",
    "FORMAT_DISK_LINUX_FILE",
    "FORMAT_DISK_LINUX_BLOCK",
    "FORMAT_DISK_WINDOWS",
    "MIGRATE_LINUX_FILE",
    "MIGRATE_LINUX_BLOCK",
    "MIGRATE_WINDOWS_BLOCK",
    "CLONE_VM",
    "SYNC_LINUX_FILE",
    "SYNC_LINUX_BLOCK",
    "SYNC_WINDOWS_BLOCK",
    "CONFIGURE_LINUX",
    "CONFIGURE_LINUX_BLOCK",
    "CONFIGURE_LINUX_FILE",
    "CONFIGURE_WINDOWS",
)
