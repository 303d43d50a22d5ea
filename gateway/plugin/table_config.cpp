// gw.config: the instance's subtree of the configuration, typed, with every complaint at its place.
#include <fmt/format.h>

#include <charconv>
#include <filesystem>
#include <limits>

#include "config/parse_values.h"
#include "config/wording.h"
#include "plugin/handles.h"
#include "plugin/host.h"
#include "plugin/tables.h"

namespace penstock::plugin {

const gw_node* Configuration::handle(const config::Node* node) {
  if (node == nullptr) return nullptr;
  return &nodes.emplace_back(gw_node{node, this});
}

std::string place_of(const gw_node* node) {
  const Configuration& c = *node->configuration;
  const std::string within = config::path_within(c.root, *node->node);
  if (within.empty()) return c.path;
  return within.starts_with('[') ? c.path + within : c.path + "." + within;
}

namespace {

using config::Node;

config::Diagnostic& complain(const gw_node* node, std::string_view code, config::Position at,
                             std::string message) {
  ++node->configuration->errors;
  return node->configuration->diagnostics.error(code, at, place_of(node), std::move(message));
}

// The value's place, or the key's when the value is empty.
config::Position value_at(const Node& node) { return node.at.known() ? node.at : node.key_at; }

std::string label(const Node& node) {
  return node.key.empty() ? std::string() : std::string(config::shown_key(node)) + ": ";
}

int32_t kind(const gw_node* node) {
  if (node == nullptr) return GW_NODE_NULL;
  switch (node->node->kind) {
    case config::NodeKind::null: return GW_NODE_NULL;
    case config::NodeKind::scalar: return GW_NODE_SCALAR;
    case config::NodeKind::list: return GW_NODE_LIST;
    case config::NodeKind::map: return GW_NODE_MAP;
  }
  return GW_NODE_NULL;
}

const gw_node* get(const gw_node* map, gw_str key) {
  if (map == nullptr) return nullptr;
  return map->configuration->handle(std::as_const(*map->node).find(view(key)));
}
size_t size(const gw_node* node) { return node == nullptr ? 0 : node->node->children.size(); }
const gw_node* item(const gw_node* node, size_t index) {
  if (index >= size(node)) return nullptr;
  return node->configuration->handle(&node->node->children[index]);
}
gw_str key(const gw_node* map, size_t index) {
  if (index >= size(map) || !map->node->is_map()) return {nullptr, 0};
  return str(map->node->children[index].key);
}

// A value that something was said about already is an error without another word.
gw_rc scalar(const gw_node* node, std::string_view what, std::string_view& out) {
  if (node == nullptr) return GW_EINVAL;
  const Node& n = *node->node;
  if (n.unusable) {
    ++node->configuration->errors;
    return GW_EINVAL;
  }
  if (!n.is_scalar()) {
    complain(node, "wrong-type", value_at(n), fmt::format("{}must be {}", label(n), what));
    return GW_EINVAL;
  }
  out = n.text;
  return GW_OK;
}

template <class T, class Assign>
gw_rc parsed(const gw_node* node, std::string_view what, std::string_view code,
             config::Parsed<T> (*parse)(std::string_view), Assign assign) {
  std::string_view text;
  if (const gw_rc rc = scalar(node, what, text); rc < 0) return rc;
  const auto value = parse(text);
  if (!value && node->node->secret) {  // the complaint may quote the value
    complain(node, code, value_at(*node->node),
             fmt::format("{}the value is not {}", label(*node->node), what));
    return GW_EINVAL;
  }
  if (!value) {
    complain(node, code, value_at(*node->node),
             fmt::format("{}'{}' {}", label(*node->node), node->node->text, value.error().message))
        .hint = value.error().hint;
    return GW_EINVAL;
  }
  assign(*value);
  return GW_OK;
}

gw_rc get_string(const gw_node* node, gw_str* out) {
  if (out == nullptr) return GW_EINVAL;
  std::string_view text;
  const gw_rc rc = scalar(node, "a text", text);
  if (rc >= 0) *out = str(text);
  return rc;
}
gw_rc get_int(const gw_node* node, int64_t* out) {
  if (out == nullptr) return GW_EINVAL;
  return parsed(node, "a whole number", "bad-number", &config::parse_integer, [&](int64_t v) { *out = v; });
}
gw_rc get_bool(const gw_node* node, int32_t* out) {
  if (out == nullptr) return GW_EINVAL;
  return parsed(node, "true or false", "bad-flag", &config::parse_flag, [&](bool v) { *out = v ? 1 : 0; });
}

config::Parsed<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !(value <= std::numeric_limits<double>::max()) || !(value >= std::numeric_limits<double>::lowest())) {
    return std::unexpected(config::Complaint{"is no number", "such as 0.5"});
  }
  return value;
}
gw_rc get_double(const gw_node* node, double* out) {
  if (out == nullptr) return GW_EINVAL;
  return parsed(node, "a number", "bad-number", &parse_number, [&](double v) { *out = v; });
}

gw_rc get_duration(const gw_node* node, int64_t* out) {
  if (out == nullptr) return GW_EINVAL;
  return parsed(node, "a duration such as 500ms", "bad-duration", &config::parse_duration,
                [&](config::Duration v) { *out = std::chrono::nanoseconds(v).count(); });
}
gw_rc get_size(const gw_node* node, uint64_t* out) {
  if (out == nullptr) return GW_EINVAL;
  return parsed(node, "a size such as 64KiB", "bad-size", &config::parse_size, [&](uint64_t v) { *out = v; });
}
gw_rc get_percentage(const gw_node* node, double* out) {
  if (out == nullptr) return GW_EINVAL;
  return parsed(node, "a percentage such as 5%", "bad-percentage", &config::parse_percent,
                [&](double v) { *out = v; });
}

struct Rate {
  uint64_t count;
  int64_t period_ns;
};
config::Parsed<Rate> parse_rate(std::string_view text) {
  const auto wrong = std::unexpected(config::Complaint{"is no rate", "write 100/s, 100/m, 100/h or 100/d"});
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return wrong;
  uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + slash, count);
  if (error != std::errc() || end != text.data() + slash || count == 0 || count > UINT32_MAX) return wrong;
  constexpr int64_t second = 1'000'000'000;
  const std::string_view unit = text.substr(slash + 1);
  if (unit == "s") return Rate{count, second};
  if (unit == "m") return Rate{count, 60 * second};
  if (unit == "h") return Rate{count, 3600 * second};
  if (unit == "d") return Rate{count, 86400 * second};
  return wrong;
}
gw_rc get_rate(const gw_node* node, uint64_t* count, int64_t* period_ns) {
  if (count == nullptr || period_ns == nullptr) return GW_EINVAL;
  return parsed(node, "a rate such as 100/s", "bad-rate", &parse_rate, [&](Rate rate) {
    *count = rate.count;
    *period_ns = rate.period_ns;
  });
}

constexpr std::string_view target_keys[] = {"upstream", "split", "redirect", "respond"};

gw_rc get_target(const gw_node* node, gw_id* out) {
  if (node == nullptr || out == nullptr) return GW_EINVAL;
  const Node& n = *node->node;
  *out = 0;
  if (n.is_null()) return GW_OK;
  if (n.is_map()) {
    size_t given = 0;
    for (const std::string_view form : target_keys) given += n.find(form) != nullptr ? 1 : 0;
    if (given == 0) return GW_OK;
  } else if (!n.is_scalar()) {
    complain(node, "wrong-type", value_at(n), fmt::format("{}must name an upstream", label(n)));
    return GW_EINVAL;
  }
  const uint32_t id = node->configuration->targets.add_target(n);
  if (id == 0) {
    ++node->configuration->errors;  // the sink has said why
    return GW_EINVAL;
  }
  *out = id;
  return GW_OK;
}

gw_str path(const gw_node* node, gw_str relative) {
  if (node == nullptr) return {nullptr, 0};
  Configuration& c = *node->configuration;
  const std::string_view text = view(relative);
  const uint32_t file = node->node->at.file;
  if (text.starts_with('/') || file >= c.files.size()) return str(c.texts.emplace_back(text));
  const auto folder = std::filesystem::path(c.files[file]).parent_path();
  return str(c.texts.emplace_back(folder.empty() ? std::string(text) : (folder / text).string()));
}

void error(const gw_node* node, gw_str message) {
  if (node == nullptr) return;
  const Node& n = *node->node;
  complain(node, "plugin", n.key_at.known() && n.is_map() ? n.key_at : value_at(n),
           label(n) + std::string(view(message)));
}
void warning(const gw_node* node, gw_str message) {
  if (node == nullptr) return;
  const Node& n = *node->node;
  node->configuration->diagnostics.warning("plugin", value_at(n), place_of(node),
                                           label(n) + std::string(view(message)));
}

bool key_of_every_instance(std::string_view name) { return name == "type" || name == "on_error"; }

void check_keys(const gw_node* map, const gw_str* known, size_t count) {
  if (map == nullptr || (known == nullptr && count > 0)) return;
  const Configuration& c = *map->configuration;
  std::vector<std::string_view> names;
  bool has_target = false;
  for (size_t i = 0; i < count; ++i) {
    if (known[i].len == 0) has_target = true;  // a field of type target has no name of its own
    if (known[i].len != 0) names.push_back(view(known[i]));
  }
  if (has_target) names.insert(names.end(), {"upstream", "split", "split_by", "redirect", "respond"});
  for (const Node& child : map->node->children) {
    if (child.unusable || std::find(names.begin(), names.end(), child.key) != names.end()) continue;
    if (map->node == &c.root && key_of_every_instance(child.key)) continue;
    const gw_node at{&child, map->configuration};
    complain(&at, "unknown-key", child.key_at.known() ? child.key_at : child.at,
             fmt::format("'{}' is not known under {}", config::shown_key(child), place_of(map)))
        .hint = child.secret_key ? "" : config::did_you_mean(child.key, names);
  }
}

gw_instance* instance(const gw_node* node) {
  return node == nullptr ? nullptr : &node->configuration->instance;
}
gw_str instance_name(const gw_instance* i) { return i == nullptr ? gw_str{nullptr, 0} : str(i->name); }

gw_rc credential(const gw_node* node, size_t index, uint32_t* out_kind, gw_str* out_name) {
  if (node == nullptr || out_kind == nullptr || out_name == nullptr) return GW_EINVAL;
  for (const auto& filter : node->configuration->configured) {
    const std::pair<uint32_t, const std::vector<std::string>&> carriers[] = {
        {GW_CARRIER_HEADER, filter->credential_headers()},
        {GW_CARRIER_QUERY, filter->credential_query()},
        {GW_CARRIER_COOKIE, filter->credential_cookies()}};
    for (const auto& [carrier, names] : carriers) {
      if (index < names.size()) {
        *out_kind = carrier;
        *out_name = str(names[index]);
        return GW_OK;
      }
      index -= names.size();
    }
  }
  return GW_ENOTFOUND;
}

gw_rc without(const gw_node* node, uint32_t hooks) {
  constexpr uint32_t known =
      GW_HOOK_RESPONSE_HEADERS | GW_HOOK_REQUEST_BODY | GW_HOOK_RESPONSE_BODY | GW_HOOK_COMPLETE;
  if (node == nullptr || (hooks & ~known) != 0) return GW_EINVAL;
  node->configuration->instance.without_hooks |= hooks;
  return GW_OK;
}

}  // namespace

constinit const gw_config_v0 config_table{
    sizeof(gw_config_v0), 0,           &kind,     &get,        &size,         &item,       &key,
    &get_string,          &get_int,    &get_bool, &get_double, &get_duration, &get_size,   &get_rate,
    &get_percentage,      &get_target, &path,     &error,      &warning,      &check_keys, &instance,
    &instance_name,       &credential, &without};

}  // namespace penstock::plugin
