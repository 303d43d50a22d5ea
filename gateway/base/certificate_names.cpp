#include "base/certificate_names.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

namespace penstock {
namespace {

constexpr size_t max_values = 16;  // of one multi-valued part

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char small = lower(c);
  return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

bool same_word(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lower, lower); }

// Types whose values are text; the first name is the one that is kept, and the shortest.
struct AttributeType {
  std::array<std::string_view, 3> names;
};
constexpr AttributeType text_types[] = {
    {{"cn", "commonName", "2.5.4.3"}},
    {{"sn", "surname", "2.5.4.4"}},
    {{"serialNumber", "2.5.4.5", {}}},
    {{"c", "countryName", "2.5.4.6"}},
    {{"l", "localityName", "2.5.4.7"}},
    {{"st", "stateOrProvinceName", "2.5.4.8"}},
    {{"street", "streetAddress", "2.5.4.9"}},
    {{"o", "organizationName", "2.5.4.10"}},
    {{"ou", "organizationalUnitName", "2.5.4.11"}},
    {{"title", "2.5.4.12", {}}},
    {{"businessCategory", "2.5.4.15", {}}},
    {{"postalCode", "2.5.4.17", {}}},
    {{"name", "2.5.4.41", {}}},
    {{"gn", "givenName", "2.5.4.42"}},
    {{"initials", "2.5.4.43", {}}},
    {{"generationQualifier", "2.5.4.44", {}}},
    {{"dnQualifier", "2.5.4.46", {}}},
    {{"pseudonym", "2.5.4.65", {}}},
    {{"organizationIdentifier", "2.5.4.97", {}}},
    {{"uid", "userId", "0.9.2342.19200300.100.1.1"}},
    {{"dc", "domainComponent", "0.9.2342.19200300.100.1.25"}},
    {{"email", "emailAddress", "1.2.840.113549.1.9.1"}},
};

const AttributeType* text_type(std::string_view name) {
  for (const AttributeType& type : text_types)
    for (const std::string_view one : type.names)
      if (!one.empty() && same_word(one, name)) return &type;
  return nullptr;
}

// Reads RFC 4514 text into `room`: parts in their order, each "type=value" with '+' between several, ','
// after each part; what separates is escaped within values.
class SubjectReader {
 public:
  SubjectReader(std::string_view text, std::span<char> room) : text_(text), out_(room) {}

  std::string_view read() {
    if (skip_spaces(), at_end()) return {};
    do {
      if (!read_part()) return {};
    } while (take(','));
    return at_end() ? std::string_view(out_.data(), used_) : std::string_view();
  }

 private:
  bool at_end() const { return at_ == text_.size(); }
  void skip_spaces() {
    while (!at_end() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void put(char c) { out_[used_++] = c; }
  void put_value(char c) {
    if (c == ',' || c == '+' || c == '=' || c == '\\') put('\\');
    put(c);
  }

  bool read_part() {
    const size_t begin = used_;
    std::array<size_t, max_values + 1> bounds{};
    size_t count = 0;
    do {
      if (count == max_values) return false;
      bounds[count++] = used_;
      if (!read_pair()) return false;
    } while (take('+'));
    bounds[count] = used_;
    sort_pairs(begin, std::span(bounds).first(count + 1));
    return true;
  }

  // By means of the room behind: each pair is moved once, with what separates it from the next.
  void sort_pairs(size_t begin, std::span<const size_t> bounds) {
    std::array<std::string_view, max_values> pairs;
    const size_t count = bounds.size() - 1;
    for (size_t i = 0; i < count; ++i) pairs[i] = {&out_[bounds[i]], bounds[i + 1] - bounds[i]};
    std::ranges::sort(std::span(pairs).first(count));
    char* const scratch = out_.data() + used_;
    char* to = scratch;
    for (size_t i = 0; i < count; ++i) {
      to = std::ranges::copy(pairs[i], to).out;
      *to++ = i + 1 < count ? '+' : ',';
    }
    const auto size = static_cast<size_t>(to - scratch);
    std::memmove(&out_[begin], scratch, size);
    used_ = begin + size;
  }

  bool read_pair() {
    skip_spaces();
    const size_t begin = at_;
    while (!at_end() && is_type_byte(text_[at_])) ++at_;
    std::string_view type = text_.substr(begin, at_ - begin);
    if (type.size() > 4 && same_word(type.substr(0, 4), "oid.")) type.remove_prefix(4);
    skip_spaces();
    if (type.empty() || !take('=')) return false;
    skip_spaces();
    const AttributeType* known = text_type(type);
    for (const char c : known != nullptr ? known->names[0] : type) put(lower(c));
    put('=');
    folds_ = known != nullptr;
    gap_ = false;
    value_begin_ = used_;
    if (take('#')) return read_hex();
    return take('"') ? read_quoted() : read_plain();
  }

  static bool is_type_byte(char c) {
    const char small = lower(c);
    return (small >= 'a' && small <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  }

  // A byte of the value, its escape undone.
  void value_byte(char c) {
    if (!folds_) return put_value(c);
    if (c == ' ') {
      gap_ = used_ > value_begin_;
      return;
    }
    if (std::exchange(gap_, false)) put(' ');
    put_value(lower(c));
  }

  // After a backslash: two hexadecimal digits, or a byte that is meant as it is (RFC 4514 3).
  std::optional<char> escaped() {
    if (at_end()) return std::nullopt;
    const char c = text_[at_++];
    const int high = hex_value(c);
    if (high >= 0) {
      const int low = at_end() ? -1 : hex_value(text_[at_]);
      if (low < 0) return std::nullopt;
      ++at_;
      return static_cast<char>(high * 16 + low);
    }
    if (std::string_view("\"+,;<>\\ #=").find(c) == std::string_view::npos) return std::nullopt;
    return c;
  }

  bool read_plain() {
    size_t spaces = 0;  // not escaped: they count only when something follows
    while (!at_end() && text_[at_] != ',' && text_[at_] != '+') {
      const char c = text_[at_++];
      if (c == ' ') {
        ++spaces;
        continue;
      }
      for (; spaces > 0; --spaces) value_byte(' ');
      if (c == '\\') {
        const auto byte = escaped();
        if (!byte) return false;
        value_byte(*byte);
      } else if (c == '"' || c == ';' || c == '<' || c == '>' || c == '\0') {
        return false;
      } else {
        value_byte(c);
      }
    }
    return true;
  }

  bool read_quoted() {  // RFC 2253 4
    while (!at_end()) {
      const char c = text_[at_++];
      if (c == '"') return skip_spaces(), true;
      if (c != '\\') {
        value_byte(c);
        continue;
      }
      const auto byte = escaped();
      if (!byte) return false;
      value_byte(*byte);
    }
    return false;
  }

  int hex_byte() {
    if (text_.size() - at_ < 2) return -1;
    const int high = hex_value(text_[at_]), low = hex_value(text_[at_ + 1]);
    if (high < 0 || low < 0) return -1;
    at_ += 2;
    return high * 16 + low;
  }

  // BER in hexadecimal. Of the common string types the text counts, so that it is equal to what is written as
  // text; of others every byte.
  bool read_hex() {
    const size_t begin = at_;
    const int tag = hex_byte(), length = hex_byte();
    if (tag < 0 || length < 0) return false;
    constexpr int utf8 = 0x0c, printable = 0x13, ia5 = 0x16;
    if ((tag == utf8 || tag == printable || tag == ia5) && length < 0x80) {
      for (int i = 0; i < length; ++i) {
        const int byte = hex_byte();
        if (byte < 0) return false;
        value_byte(static_cast<char>(byte));
      }
    } else {
      put('#');
      for (at_ = begin; !at_end() && hex_value(text_[at_]) >= 0; ++at_) put(lower(text_[at_]));
    }
    return skip_spaces(), true;
  }

  std::string_view text_;
  std::span<char> out_;
  size_t at_ = 0, used_ = 0;
  bool folds_ = false;  // the value's case and spaces do not count
  bool gap_ = false;    // a space is due before the next byte
  size_t value_begin_ = 0;
};

std::string_view with_prefix(std::string_view prefix, std::string_view rest, std::span<char> room) {
  auto to = std::ranges::copy(prefix, room.data()).out;
  to = std::ranges::copy(rest, to).out;
  return {room.data(), static_cast<size_t>(to - room.data())};
}

std::string_view host_name(std::string_view prefix, std::string_view name, std::span<char> room) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty()) return {};
  const std::string_view out = with_prefix(prefix, name, room);
  for (char& c : room.subspan(prefix.size(), name.size())) c = lower(c);
  return out;
}

std::string_view mail_address(std::string_view text, std::span<char> room) {
  const size_t at = text.rfind('@');
  if (at == 0 || at == text.npos || at + 1 == text.size()) return {};
  const std::string_view out = with_prefix("email:", text, room);
  for (char& c : room.subspan(6 + at + 1, text.size() - at - 1)) c = lower(c);  // RFC 5280 7.5
  return out;
}

std::string_view address(std::string_view text, std::span<char> room) {
  char plain[INET6_ADDRSTRLEN] = {}, out[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof plain) return {};
  std::ranges::copy(text, plain);
  in6_addr bytes{};
  for (const int family : {AF_INET, AF_INET6}) {
    if (::inet_pton(family, plain, &bytes) != 1) continue;
    ::inet_ntop(family, &bytes, out, sizeof out);
    return with_prefix("IP:", out, room);
  }
  return {};
}

}  // namespace

std::string_view normal_subject(std::string_view text, std::span<char> room) {
  return SubjectReader(text, room).read();
}

std::string_view normal_alternative_name(std::string_view text, std::span<char> room) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return {};
  const std::string_view kind = text.substr(0, colon), rest = text.substr(colon + 1);
  if (same_word(kind, "dns")) return host_name("DNS:", rest, room);
  if (same_word(kind, "email")) return mail_address(rest, room);
  if (same_word(kind, "ip")) return address(rest, room);
  if (same_word(kind, "uri") && rest.find(':') != rest.npos) return with_prefix("URI:", rest, room);
  return {};
}

std::string_view normal_fingerprint(std::string_view text, std::span<char> room) {
  constexpr size_t digits = 64;
  const bool colons = text.size() == digits + 31;
  if (!colons && text.size() != digits) return {};
  size_t used = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (colons && i % 3 == 2) {
      if (text[i] != ':') return {};
      continue;
    }
    if (hex_value(text[i]) < 0) return {};
    room[used++] = lower(text[i]);
  }
  return {room.data(), used};
}

}  // namespace penstock
