#include "plugin/host.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <optional>
#include <utility>

#include "config/schema.h"
#include "config/wording.h"
#include "plugin/instance.h"
#include "proxy/snapshot.h"

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

// A plugin that fails fails for every request, and writing costs a worker more than failing: each has this
// many lines a second.
class LineBudget {
 public:
  // nullopt: not this line. Else how many before it were not written.
  std::optional<uint32_t> take() {
    const int64_t second = steady_ns() / 1'000'000'000;
    if (std::exchange(second_, second) != second) written_ = 0;
    if (written_ == lines_a_second) return ++untold_, std::nullopt;
    ++written_;
    return std::exchange(untold_, 0);
  }

 private:
  static constexpr uint32_t lines_a_second = 100;
  int64_t second_ = 0;
  uint32_t written_ = 0, untold_ = 0;
};

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

// Everything that the ABI's answer refers to lives until on_resume has returned.
void answer_ticket(Tickets& tickets, store::Token token, const store::Answer& answer) {
  using Outcome = store::Answer::Outcome;
  std::array<gw_limit_state, store::RedisStore::max_windows> states;
  for (size_t i = 0; i < answer.states.size(); ++i)
    states[i] = {answer.states[i].remaining, answer.states[i].reset, answer.states[i].retry_after};
  gw_store_answer out{sizeof(gw_store_answer), GW_EUNAVAILABLE, answer.value, states.data(),
                      answer.states.size()};
  if (answer.outcome == Outcome::admitted) out.rc = 1;
  if (answer.outcome == Outcome::refused) out.rc = 0;
  if (answer.outcome == Outcome::timeout) out.rc = GW_ETIMEOUT;
  if (answer.outcome == Outcome::wrong) out.rc = GW_ERROR;
  tickets.resume_here({token.slot, token.gen}, &out);
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
      values_(settings_.max_value_bytes),
      tickets_(std::make_shared<Tickets>()),
      offload_(tickets_),
      events_(settings_.main),
      fetches_(*tickets_),
      hook_counts_(settings_.workers),
      running_(settings_.workers),
      instances_(settings_.main) {
  if (!settings_.log) settings_.log = &log_to_stderr;
}

Host::~Host() = default;

std::expected<std::shared_ptr<Library>, std::string> Host::load(const std::string& path) {
  auto file = read_library(path);
  if (!file) return std::unexpected(file.error());
  std::erase_if(loaded_, [](const auto& known) { return known.second.expired(); });
  if (const auto known = loaded_.find(file->hash); known != loaded_.end()) {
    if (auto library = known->second.lock()) return library;
  }
  std::string folder;
  if (!settings_.state_dir.empty()) folder = settings_.state_dir + "/plugins";
  if (!std::exchange(swept_, true)) PrivateCopy::sweep(folder);
  auto library = Library::load(*this, std::move(*file), folder);
  if (library) loaded_[(*library)->hash()] = *library;
  return library;
}

void Host::enroll(uint32_t worker) {
  running_code.worker = worker;
  const std::lock_guard lock(running_mutex_);
  running_.at(worker) = &running_code;
}

std::vector<const RunningCode*> Host::running() const {
  const std::lock_guard lock(running_mutex_);
  return running_;
}

std::vector<MetricSample> Host::metrics() const {
  std::vector<MetricSample> out = metrics_.collect();
  hook_counts_.collect(out);
  std::ranges::stable_sort(out, {}, &MetricSample::name);
  return out;
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
  if (!guards && spec.on_error == proxy::OnError::skip) {
    diagnostics.note("on-error-skip", spec.on_error_at.known() ? spec.on_error_at : spec.at, spec.path,
                     fmt::format("requests go on when '{}' fails (on_error: skip)", spec.name));
  }
  auto made = Instance::make(*this, *type, spec, targets, diagnostics);
  return lets_through ? nullptr : std::move(made);
}

std::shared_ptr<store::RedisStore> Host::redis() {
  if (!redis_settings_) return nullptr;
  if (auto known = redis_.lock(); known != nullptr && known->settings().same(*redis_settings_)) return known;
  store::RedisStore::Owner owner{tickets_.get(),
                                 [](void* tickets, store::Token token, const store::Answer& answer) {
                                   answer_ticket(*static_cast<Tickets*>(tickets), token, answer);
                                 },
                                 [this](bool up, std::string_view line) {
                                   log(up ? LogLevel::info : LogLevel::warning, nullptr, {}, line);
                                 }};
  auto made = std::make_shared<store::RedisStore>(*redis_settings_, std::move(owner));
  redis_ = made;
  return made;
}

std::vector<InstanceStatus> statuses(const proxy::Snapshot& snapshot) {
  std::vector<InstanceStatus> out;
  for (const auto& filter : snapshot.filters)
    if (std::string text = filter->status(); !text.empty())
      out.push_back({filter->name(), filter->type(), std::move(text)});
  return out;
}

void Host::set_limits(const config::ProcessLimits& limits) {
  offload_.set_most(limits.plugin_work);
  events_.set_most_posts(limits.plugin_posts);
}

LimitCounts Host::limit_counts() const {
  LimitCounts counts;
  counts.add(Limit::plugin_work, offload_.refused());
  counts.add(Limit::plugin_posts, events_.refused_posts());
  return counts;
}

void Host::log(LogLevel level, const gw_instance* instance, std::string_view request_id,
               std::string_view message) const {
  thread_local LineBudget budget;
  if (!logs(level)) return;
  std::optional<uint32_t> untold = 0;
  if (running_code.worker != RunningCode::no_worker) untold = budget.take();
  if (!untold) return;
  std::string line =
      instance == nullptr ? "plugin" : fmt::format("plugin {} ({})", instance->name, instance->type);
  if (!request_id.empty()) line += fmt::format(" [{}]", request_id);
  line += ": " + one_line(message);
  if (*untold > 0) line += fmt::format(" ({} lines before this one were not written)", *untold);
  settings_.log(level, line);
}

}  // namespace penstock::plugin
