// One form for each name that a certificate has of its owner, so that what a configuration says and what a
// certificate shows can be compared byte by byte. Pure functions that allocate nothing: the result lies in
// `room`, of at least room_for(text) bytes; data() null: the text is no such name.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace penstock {

constexpr size_t room_for(std::string_view name) { return name.size() * 4 + 64; }

// A distinguished name as RFC 4514 text. Attribute types are known by their short, long or numeric names in
// any case; escapes, quotes and spaces around separators do not count, nor does the order within a
// multi-valued part. The order of the parts does (RFC 4517 4.2.15). Values of types that hold text (CN, O,
// OU, ...) are equal whatever the case of their ASCII letters and however many spaces part their words (RFC
// 4517 4.2.11, of whose preparation no more is done); others byte for byte.
std::string_view normal_subject(std::string_view text, std::span<char> room);

// "DNS:a.example", "URI:...", "email:...", "IP:...": a host's name in lower case without a final dot, an
// address in its shortest form, else as it is.
std::string_view normal_alternative_name(std::string_view text, std::span<char> room);

// SHA-256 of a certificate: 64 hexadecimal digits in lower case; colons between the bytes may stand.
std::string_view normal_fingerprint(std::string_view text, std::span<char> room);

}  // namespace penstock
