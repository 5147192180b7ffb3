//! The Internet checksum. RFC 1071; incremental update by RFC 1624.
