#include "plugin/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "config/schema.h"
#include "config/wording.h"
#include "plugin/instance.h"

namespace penstock::plugin {
namespace {

int64_t clock_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}
int64_t system_wall_ns() { return clock_ns(CLOCK_REALTIME); }
int64_t system_monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

void log_to_stderr(LogLevel level, std::string_view line) {
  static constexpr std::string_view names[] = {"debug", "info", "warning", "error"};
  const std::string out = fmt::format("{}: {}\n", names[static_cast<size_t>(level)], line);
  std::fwrite(out.data(), 1, out.size(), stderr);
}

// A plugin's message is one line, whatever is in it.
std::string one_line(std::string_view text) {
  std::string out(text.substr(0, 1024));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

// One mistake is one error: an instance without a type was answered already, and the type may be one of a
// library that is not there.
bool answered_already(const InstanceSpec& spec, const config::Diagnostics& diagnostics) {
  if (diagnostics.ok()) return false;
  return spec.type.empty() || std::ranges::any_of(diagnostics.all(), [](const config::Diagnostic& item) {
           return item.code == "missing-file" && item.path.starts_with("plugin_libraries[");
         });
}

void report_unknown_type(const InstanceSpec& spec, const TypeSet& types, config::Diagnostics& diagnostics) {
  if (answered_already(spec, diagnostics)) return;
  const config::Position at = spec.type_at.known() ? spec.type_at : spec.at;
  const std::string_view shown = spec.type_secret ? config::hidden_text : std::string_view(spec.type);
  if (std::ranges::count(config::later_plugin_types(), spec.type) > 0) {
    diagnostics.error("not-supported-yet", at, spec.path,
                      fmt::format("the plugin type '{}' is not supported yet", shown));
    return;
  }
  const std::vector<std::string> names = types.names();
  const std::vector<std::string_view> known(names.begin(), names.end());
  auto& wrong = diagnostics.error(
      "unknown-plugin-type", at, spec.path,
      fmt::format("no loaded library has the plugin type '{}' {}", shown, config::defined_names(known)));
  if (!spec.type_secret) wrong.hint = config::did_you_mean(spec.type, known);
}

}  // namespace

std::string TypeSet::add(std::shared_ptr<Library> library) {
  for (const gw_plugin* plugin : library->plugins()) {
    const std::string type(view(plugin->type));
    const auto [known, fresh] = types_.try_emplace(type, Type{plugin, library});
    if (!fresh && known->second.plugin != plugin) {
      return fmt::format("{}: type '{}' is registered by {} already", library->path(), type,
                         known->second.library->path());
    }
  }
  return {};
}

const TypeSet::Type* TypeSet::find(std::string_view type) const {
  const auto it = types_.find(type);
  return it == types_.end() ? nullptr : &it->second;
}

std::vector<std::string> TypeSet::names() const {
  std::vector<std::string> out;
  for (const auto& [name, type] : types_) out.push_back(name);
  return out;
}

Host::Host(proxy::Names& names, HostSettings settings)
    : names_(names),
      settings_(std::move(settings)),
      wall_ns_(settings_.wall_ns != nullptr ? settings_.wall_ns : &system_wall_ns),
      monotonic_ns_(settings_.monotonic_ns != nullptr ? settings_.monotonic_ns : &system_monotonic_ns),
      limits_(settings_.max_limit_keys),
      tickets_(std::make_shared<Tickets>()),
      fetches_(*tickets_) {
  if (!settings_.log) settings_.log = &log_to_stderr;
}

Host::~Host() = default;

std::expected<std::shared_ptr<Library>, std::string> Host::load(const std::string& path) {
  std::string bytes;
  const auto hash = Library::read(path, bytes);
  if (!hash) return std::unexpected(hash.error());
  if (const auto known = loaded_.find(*hash); known != loaded_.end()) {
    if (auto library = known->second.lock()) return library;
  }
  auto library = Library::load(*this, path, settings_.state_dir);
  if (library) loaded_[(*library)->hash()] = *library;
  return library;
}

std::unique_ptr<proxy::Filter> Host::configure(const InstanceSpec& spec, const TypeSet& types,
                                               TargetSink& targets, config::Diagnostics& diagnostics) {
  const TypeSet::Type* type = types.find(spec.type);
  if (type == nullptr) {
    report_unknown_type(spec, types, diagnostics);
    return nullptr;
  }
  const bool guards =
      type->plugin->authenticate != nullptr || spec.type == "rate_limit" || spec.type == "ip_restriction";
  const bool lets_through = guards && spec.on_error == proxy::OnError::skip;
  if (lets_through) {
    diagnostics
        .error("bad-on-error", spec.on_error_at.known() ? spec.on_error_at : spec.at, spec.path,
               fmt::format("on_error: skip would let requests pass when '{}' fails", spec.name))
        .hint = "leave it out: a failing plugin answers 500, a failing authenticator refuses";
  }
  auto made = Instance::make(*this, *type, spec, targets, diagnostics);
  return lets_through ? nullptr : std::move(made);
}

void Host::notify(Event event) {
  const auto bit = static_cast<uint32_t>(event);
  const auto current = subscriptions_;  // a callback may not change what is walked
  for (const Subscription& s : current) {
    const bool due = event != Event::tick || s.started;
    if ((s.mask & bit) != 0 && due) s.fn(s.user, bit);
  }
}

void Host::start_instances() {
  std::vector<Subscription> fresh;
  for (Subscription& s : subscriptions_) {
    if (!std::exchange(s.started, true)) fresh.push_back(s);
  }
  for (const Subscription& s : fresh) {
    if ((s.mask & GW_EVENT_START) != 0) s.fn(s.user, GW_EVENT_START);
  }
}

void Host::unsubscribe(const gw_instance& instance) {
  std::erase_if(subscriptions_, [&](const Subscription& s) { return s.instance == &instance; });
}

void Host::log(LogLevel level, const gw_instance* instance, std::string_view request_id,
               std::string_view message) const {
  if (!logs(level)) return;
  std::string line =
      instance == nullptr ? "plugin" : fmt::format("plugin {} ({})", instance->name, instance->type);
  if (!request_id.empty()) line += fmt::format(" [{}]", request_id);
  settings_.log(level, fmt::format("{}: {}", line, one_line(message)));
}

}  // namespace penstock::plugin
