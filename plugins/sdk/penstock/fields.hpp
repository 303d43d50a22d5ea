// Configuration of a plugin: fields() lists members once, and both the reading (with positions in every
// error) and the JSON Schema come from it. Main thread only. Types: bool, integers, double, std::string,
// gw::secret, gw::path, gw::endpoint, gw::duration, gw::bytes, gw::rate, gw::percentage, gw::or_none<T>,
// std::optional<T>, std::vector<T> (one value may stand without brackets), maps with text keys, enums with
// gw_names(), and structs with fields() of their own (`short_form`: the field that a lone scalar stands for).
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "types.hpp"

#pragma GCC visibility push(hidden)
namespace gw {

enum class presence { optional, required };
enum class content { any, filled };

template <class Config, class Member>
struct field {
  std::string_view name;
  Member Config::* member;
  std::string_view doc;
  presence needed;
  int64_t low = std::numeric_limits<int64_t>::min(), high = std::numeric_limits<int64_t>::max();
  content allowed = content::any;

  // Numbers only: the values that are allowed, both ends included. Durations count in nanoseconds.
  constexpr field range(int64_t from, int64_t to) const {
    return {name, member, doc, needed, from, to, allowed};
  }
  // An empty text, list or map, also within a list or map, is an error: where emptiness would silently mean
  // that nothing is checked.
  constexpr field filled() const { return {name, member, doc, needed, low, high, content::filled}; }
};

template <class Config, class Member>
constexpr field<Config, Member> opt(std::string_view name, Member Config::* member, std::string_view doc) {
  return {name, member, doc, presence::optional};
}
template <class Config, class Member>
constexpr field<Config, Member> req(std::string_view name, Member Config::* member, std::string_view doc) {
  return {name, member, doc, presence::required};
}

// The target written in this map (upstream:, split: ... stand beside the other keys).
template <class Config>
struct target_field {
  target Config::* member;
  std::string_view doc;
};
template <class Config>
constexpr target_field<Config> target_here(target Config::* member, std::string_view doc) {
  return {member, doc};
}

namespace detail {

template <class T, class = void>
struct has_fields : std::false_type {};
template <class T>
struct has_fields<T, std::void_t<decltype(T::fields())>> : std::true_type {};
template <class T, class = void>
struct has_short_form : std::false_type {};
template <class T>
struct has_short_form<T, std::void_t<decltype(T::short_form)>> : std::true_type {};

inline gw_rc fail_at(const gw_node* node, const std::string& message) {
  host.config->error(node, str(message));
  return GW_EINVAL;
}

// One text of several; also spares GCC 12 a false warning about "x" + std::string.
inline std::string join(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out += part;
  return out;
}

inline void json_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  out += '"';
}

// 3600000000000 is 1h.
inline std::string duration_text(int64_t ns) {
  struct unit {
    int64_t size;
    std::string_view name;
  };
  constexpr unit units[] = {
      {3'600'000'000'000, "h"}, {60'000'000'000, "m"}, {1'000'000'000, "s"}, {1'000'000, "ms"}};
  if (ns == 0) return "0s";
  for (const unit& u : units) {
    if (ns % u.size == 0) return join({std::to_string(ns / u.size), u.name});
  }
  return join({std::to_string(ns), "ns"});
}

// The innermost part that is empty, or null.
inline const gw_node* empty_part(const gw_node* node) {
  const int32_t kind = host.config->kind(node);
  gw_str text{};
  if (kind == GW_NODE_NULL) return node;
  if (kind == GW_NODE_SCALAR)
    return host.config->get_string(node, &text) >= 0 && text.len == 0 ? node : nullptr;
  const size_t size = host.config->size(node);
  if (size == 0) return node;
  for (size_t i = 0; i < size; ++i) {
    if (kind == GW_NODE_MAP && host.config->key(node, i).len == 0) return host.config->item(node, i);
    if (const gw_node* part = empty_part(host.config->item(node, i)); part != nullptr) return part;
  }
  return nullptr;
}

// ---- scalars: read(node, out) and schema(out) ----

struct limits {
  int64_t low = std::numeric_limits<int64_t>::min(), high = std::numeric_limits<int64_t>::max();
  bool given() const {
    return low != std::numeric_limits<int64_t>::min() || high != std::numeric_limits<int64_t>::max();
  }
};

inline gw_rc in_range(const gw_node* node, int64_t value, limits l) {
  if (value >= l.low && value <= l.high) return GW_OK;
  return fail_at(node, join({"must be from ", std::to_string(l.low), " to ", std::to_string(l.high)}));
}

template <class T, class = void>
struct value_of;

template <class T>
struct value_of<T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool>>> {
  static gw_rc read(const gw_node* node, T& out, limits l) {
    int64_t value = 0;
    if (const gw_rc rc = host.config->get_int(node, &value); rc < 0) return rc;
    if constexpr (std::is_unsigned_v<T>) l.low = l.low < 0 ? 0 : l.low;
    if constexpr (sizeof(T) < 8) {
      l.low = std::max<int64_t>(l.low, std::numeric_limits<T>::min());
      l.high = std::min<int64_t>(l.high, std::numeric_limits<T>::max());
    }
    if (const gw_rc rc = in_range(node, value, l); rc < 0) return rc;
    out = static_cast<T>(value);
    return GW_OK;
  }
  static void schema(std::string& out, limits l) {
    out += R"("type":"integer")";
    if (l.given()) out += ",\"minimum\":" + std::to_string(l.low) + ",\"maximum\":" + std::to_string(l.high);
  }
};

template <>
struct value_of<bool> {
  static gw_rc read(const gw_node* node, bool& out, limits) {
    int32_t value = 0;
    const gw_rc rc = host.config->get_bool(node, &value);
    if (rc >= 0) out = value != 0;
    return rc;
  }
  static void schema(std::string& out, limits) { out += R"("type":"boolean")"; }
};

template <>
struct value_of<double> {
  static gw_rc read(const gw_node* node, double& out, limits) { return host.config->get_double(node, &out); }
  static void schema(std::string& out, limits) { out += R"("type":"number")"; }
};

inline gw_rc read_text(const gw_node* node, std::string& out) {
  gw_str text{};
  const gw_rc rc = host.config->get_string(node, &text);
  if (rc >= 0) out.assign(text.ptr, text.len);
  return rc;
}

template <>
struct value_of<std::string> {
  static gw_rc read(const gw_node* node, std::string& out, limits) { return read_text(node, out); }
  static void schema(std::string& out, limits) { out += R"("type":"string")"; }
};

template <>
struct value_of<secret> {
  static gw_rc read(const gw_node* node, secret& out, limits) {
    std::string text;
    const gw_rc rc = read_text(node, text);
    if (rc >= 0) out = secret(std::move(text));
    return rc;
  }
  static void schema(std::string& out, limits) { out += R"("type":"string","writeOnly":true)"; }
};

template <>
struct value_of<path> {
  static gw_rc read(const gw_node* node, path& out, limits) {
    std::string text;
    const gw_rc rc = read_text(node, text);
    if (rc >= 0) out.text = std::string(view(host.config->path(node, str(text))));
    return rc;
  }
  static void schema(std::string& out, limits) { out += R"("type":"string")"; }
};

template <>
struct value_of<endpoint> {
  static gw_rc read(const gw_node* node, endpoint& out, limits) {
    if (host.fetch == nullptr) return fail_at(node, "this daemon cannot ask anybody over HTTP");
    return host.fetch->endpoint(node, &out.id);
  }
  static void schema(std::string& out, limits) {
    out += R"("type":["string","object"],"properties":{"url":{"type":"string"},"tls":{"type":"object"}})";
  }
};

template <>
struct value_of<duration> {
  static gw_rc read(const gw_node* node, duration& out, limits l) {
    int64_t ns = 0;
    if (const gw_rc rc = host.config->get_duration(node, &ns); rc < 0) return rc;
    if (ns < l.low || ns > l.high)
      return fail_at(node, join({"must be from ", duration_text(l.low), " to ", duration_text(l.high)}));
    out = duration(ns);
    return GW_OK;
  }
  static void schema(std::string& out, limits) { out += R"("type":"string","pattern":"^[0-9]+(ms|s|m|h)$")"; }
};

template <>
struct value_of<bytes> {
  static gw_rc read(const gw_node* node, bytes& out, limits) {
    return host.config->get_size(node, &out.count);
  }
  static void schema(std::string& out, limits) {
    out += R"("type":"string","pattern":"^[0-9]+(B|KiB|MiB|GiB)$")";
  }
};

template <>
struct value_of<rate> {
  static gw_rc read(const gw_node* node, rate& out, limits) {
    int64_t ns = 0;
    const gw_rc rc = host.config->get_rate(node, &out.count, &ns);
    if (rc >= 0) out.period = duration(ns);
    return rc;
  }
  static void schema(std::string& out, limits) { out += R"("type":"string","pattern":"^[0-9]+/(s|m|h|d)$")"; }
};

template <>
struct value_of<percentage> {
  static gw_rc read(const gw_node* node, percentage& out, limits) {
    return host.config->get_percentage(node, &out.fraction);
  }
  static void schema(std::string& out, limits) { out += R"("type":"string","pattern":"^[0-9.]+%$")"; }
};

// An enum whose values count from 0; `gw_names(E)` beside it returns an array of their words.
template <class T>
struct value_of<T, std::enable_if_t<std::is_enum_v<T>>> {
  static gw_rc read(const gw_node* node, T& out, limits) {
    std::string text;
    if (const gw_rc rc = read_text(node, text); rc < 0) return rc;
    std::string allowed;
    int index = 0;
    for (const std::string_view name : gw_names(T{})) {
      if (name == text) {
        out = static_cast<T>(index);
        return GW_OK;
      }
      allowed += (index++ == 0 ? "" : ", ") + std::string(name);
    }
    return fail_at(node, join({"'", text, "' is not one of: ", allowed}));
  }
  static void schema(std::string& out, limits) {
    out += R"("enum":[)";
    for (const std::string_view name : gw_names(T{})) {
      if (out.back() != '[') out += ',';
      json_text(out, name);
    }
    out += ']';
  }
};

// ---- composites ----

template <class T>
void schema_of(std::string& out) {
  out += '{';
  value_of<T>::schema(out, {});
  out += '}';
}

template <class T>
struct value_of<std::optional<T>> {
  static gw_rc read(const gw_node* node, std::optional<T>& out, limits l) {
    T value{};
    const gw_rc rc = value_of<T>::read(node, value, l);
    if (rc >= 0) out = std::move(value);
    return rc;
  }
  static void schema(std::string& out, limits l) { value_of<T>::schema(out, l); }
};

template <class T>
struct value_of<or_none<T>> {
  static gw_rc read(const gw_node* node, or_none<T>& out, limits l) {
    gw_str text{};
    if (host.config->kind(node) == GW_NODE_SCALAR && host.config->get_string(node, &text) >= 0 &&
        view(text) == "none") {
      out.value.reset();
      return GW_OK;
    }
    return value_of<std::optional<T>>::read(node, out.value, l);
  }
  static void schema(std::string& out, limits) {
    out += R"("anyOf":[{"const":"none"},)";
    schema_of<T>(out);
    out += ']';
  }
};

template <class T>
struct value_of<std::vector<T>> {
  static gw_rc read(const gw_node* node, std::vector<T>& out, limits l) {
    out.clear();
    if (host.config->kind(node) != GW_NODE_LIST) return read_item(node, out, l);
    gw_rc result = GW_OK;
    for (size_t i = 0; i < host.config->size(node); ++i) {
      if (const gw_rc rc = read_item(host.config->item(node, i), out, l); rc < 0) result = rc;
    }
    return result;
  }
  static void schema(std::string& out, limits) {
    out += R"("anyOf":[{"type":"array","items":)";
    schema_of<T>(out);
    out += "},";
    schema_of<T>(out);
    out += ']';
  }

 private:
  static gw_rc read_item(const gw_node* node, std::vector<T>& out, limits l) {
    T value{};
    const gw_rc rc = value_of<T>::read(node, value, l);
    if (rc >= 0) out.push_back(std::move(value));
    return rc;
  }
};

// Maps with text keys, in sorted order.
template <class T, class Compare>
struct value_of<std::map<std::string, T, Compare>> {
  static gw_rc read(const gw_node* node, std::map<std::string, T, Compare>& out, limits l) {
    out.clear();
    if (host.config->kind(node) != GW_NODE_MAP) return fail_at(node, "must be a map");
    gw_rc result = GW_OK;
    for (size_t i = 0; i < host.config->size(node); ++i) {
      T value{};
      const gw_rc rc = value_of<T>::read(host.config->item(node, i), value, l);
      if (rc < 0) result = rc;
      out.emplace(std::string(view(host.config->key(node, i))), std::move(value));
    }
    return result;
  }
  static void schema(std::string& out, limits) {
    out += R"("type":"object","additionalProperties":)";
    schema_of<T>(out);
  }
};

// Maps with text keys, in the order written.
template <class T>
struct value_of<std::vector<std::pair<std::string, T>>> {
  static gw_rc read(const gw_node* node, std::vector<std::pair<std::string, T>>& out, limits l) {
    out.clear();
    if (host.config->kind(node) != GW_NODE_MAP) return fail_at(node, "must be a map");
    gw_rc result = GW_OK;
    for (size_t i = 0; i < host.config->size(node); ++i) {
      T value{};
      if (const gw_rc rc = value_of<T>::read(host.config->item(node, i), value, l); rc < 0) result = rc;
      out.emplace_back(std::string(view(host.config->key(node, i))), std::move(value));
    }
    return result;
  }
  static void schema(std::string& out, limits l) { value_of<std::map<std::string, T>>::schema(out, l); }
};

// ---- structs with fields() ----

template <class Config, class Member>
gw_rc read_field(const gw_node* map, Config& config, const field<Config, Member>& f) {
  const gw_node* node = host.config->get(map, str(f.name));
  if (node == nullptr) {
    if (f.needed == presence::optional) return GW_OK;
    return fail_at(map, join({"'", f.name, "' is missing: ", f.doc}));
  }
  if (f.allowed == content::filled) {
    if (const gw_node* part = empty_part(node); part != nullptr)
      return fail_at(part, "is empty; leave it out");
  }
  return value_of<Member>::read(node, config.*(f.member), {f.low, f.high});
}
template <class Config>
gw_rc read_field(const gw_node* map, Config& config, const target_field<Config>& f) {
  return host.config->get_target(map, &(config.*(f.member)).id);
}

template <class Config, class Member>
std::string_view field_name(const field<Config, Member>& f) {
  return f.name;
}
template <class Config>
std::string_view field_name(const target_field<Config>&) {
  return {};
}

template <class Config, class Member>
void field_schema(std::string& out, std::string& required, const field<Config, Member>& f) {
  if (out.back() != '{') out += ',';
  json_text(out, f.name);
  out += ":{";
  value_of<Member>::schema(out, {f.low, f.high});
  out += ",\"description\":";
  json_text(out, f.doc);
  out += '}';
  if (f.needed == presence::optional) return;
  if (!required.empty()) required += ',';
  json_text(required, f.name);
}
template <class Config>
void field_schema(std::string& out, std::string&, const target_field<Config>& f) {
  if (out.back() != '{') out += ',';
  out += R"("upstream":{"type":"string","description":)";
  json_text(out, f.doc);
  out += R"(},"split":{"type":"object"},"split_by":{},"redirect":{},"respond":{})";
}

template <class T>
struct value_of<T, std::enable_if_t<has_fields<T>::value>> {
  static gw_rc read(const gw_node* node, T& out, limits) {
    if constexpr (has_short_form<T>::value) {
      if (host.config->kind(node) == GW_NODE_SCALAR) return read_short(node, out);
    }
    if (host.config->kind(node) == GW_NODE_NULL) return read_all(node, out);
    if (host.config->kind(node) != GW_NODE_MAP) return fail_at(node, "must be a map");
    return read_all(node, out);
  }
  static void schema(std::string& out, limits) {
    std::string required;
    out += R"("type":["object","string","null"],"properties":{)";
    std::apply([&](const auto&... f) { (field_schema(out, required, f), ...); }, T::fields());
    out += R"(},"additionalProperties":false)";
    if (!required.empty()) out += ",\"required\":[" + required + "]";
  }

 private:
  static gw_rc read_all(const gw_node* node, T& out) {
    gw_rc result = GW_OK;
    std::vector<gw_str> known;
    std::apply(
        [&](const auto&... f) {
          ((result = std::min(result, read_field(node, out, f))), ...);
          (known.push_back(str(field_name(f))), ...);
        },
        T::fields());
    if (host.config->kind(node) == GW_NODE_MAP) host.config->check_keys(node, known.data(), known.size());
    return result;
  }
  template <class U = T>
  static gw_rc read_short(const gw_node* node, U& out) {
    gw_rc result = GW_OK;
    std::apply([&](const auto&... f) { ((result = std::min(result, read_if_short(node, out, f))), ...); },
               T::fields());
    return result;
  }
  template <class Member>
  static gw_rc read_if_short(const gw_node* node, T& out, const field<T, Member>& f) {
    if (f.name != T::short_form) return GW_OK;
    return value_of<Member>::read(node, out.*(f.member), {f.low, f.high});
  }
  static gw_rc read_if_short(const gw_node*, T&, const target_field<T>&) { return GW_OK; }
};

}  // namespace detail
}  // namespace gw
#pragma GCC visibility pop
