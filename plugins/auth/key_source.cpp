#include "key_source.h"

#include <algorithm>
#include <charconv>

namespace auth {
namespace {

constexpr uint64_t max_jwks_bytes = 1024 * 1024;
constexpr int64_t second_ns = 1'000'000'000;
constexpr gw_field accept[] = {{gw::str("accept"), gw::str("application/jwk-set+json, application/json")}};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool same_word(std::string_view text, std::string_view lower_word) {
  return text.size() == lower_word.size() && std::equal(text.begin(), text.end(), lower_word.begin(),
                                                        [](char a, char b) { return lower(a) == b; });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

int64_t lifetime_ns(std::string_view cache_control, int64_t shortest, int64_t longest) {
  while (!cache_control.empty()) {
    const std::string_view part = cache_control.substr(0, cache_control.find(','));
    cache_control.remove_prefix(std::min(part.size() + 1, cache_control.size()));
    const std::string_view directive = trimmed(part);
    const std::string_view name = directive.substr(0, directive.find('='));
    if (same_word(name, "no-store") || same_word(name, "no-cache")) return shortest;
    if (!same_word(name, "max-age") || name.size() == directive.size()) continue;
    std::string_view number = directive.substr(name.size() + 1);
    if (number.size() > 1 && number.front() == '"' && number.back() == '"')
      number = number.substr(1, number.size() - 2);
    int64_t seconds = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), seconds);
    if (error != std::errc() || end != number.data() + number.size() || seconds < 0) continue;
    if (seconds >= longest / second_ns) return longest;
    return std::max(seconds * second_ns, shortest);
  }
  return longest;
}

KeySource::KeySource(settings s, Parse parse, gw::setup& setup)
    : settings_(std::move(s)),
      parse_(std::move(parse)),
      self_(setup.self()),
      full_(setup.counter("penstock_auth_key_waiters_refused_total",
                          "Requests that would have waited for keys, but jwks_waiters did already")) {
  if (settings_.refresh < settings_.min_interval)
    setup.error("jwks_refresh", "is shorter than jwks_min_interval");
  restore();
  setup.subscribe(GW_EVENT_START | GW_EVENT_TICK, &KeySource::on_event, this);
}

// --- workers ---

bool KeySource::renew(View& view) const {
  if (generation_.load(std::memory_order_acquire) == view.generation) return false;
  const std::lock_guard lock(mutex_);
  view.keys = keys_;
  view.generation = generation_.load(std::memory_order_relaxed);
  return true;
}

// Whoever sends rubbish must not make us ask more often than min_interval says.
bool KeySource::want(int64_t now_ns) {
  if (asking_.load(std::memory_order_relaxed)) return true;
  const int64_t begun = begun_ns_.load(std::memory_order_relaxed);
  const bool first = generation_.load(std::memory_order_relaxed) == 0;
  if (begun != INT64_MIN && !first && now_ns - begun < settings_.min_interval.count()) return false;
  if (wanted_.exchange(true, std::memory_order_relaxed)) return true;
  const gw_event_v0* events = gw::detail::host.event;
  // Without a post the next tick sees it.
  if (!first && GW_HAS(events, post) && events->post != nullptr)
    events->post(self_.handle(), &KeySource::on_post, this);
  return true;
}

KeySource::Wait KeySource::wait(gw::request& r, const View& view) {
  const uint64_t answers = answers_.load(std::memory_order_acquire);
  if (!want(gw::monotonic_now())) return Wait::too_early;
  const gw_ticket ticket = r.ticket();
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= settings_.waiters) {
      full_.add();
      return Wait::full;
    }
    waiting_.push_back(ticket);
  }
  gw::detail::host.async->resume_after(r.req(), ticket, settings_.wait.count(), nullptr);
  // An answer that came before the ticket stood in the list did not find it there.
  if (generation_.load(std::memory_order_acquire) != view.generation ||
      answers_.load(std::memory_order_acquire) != answers)
    gw::resume(ticket, nullptr);
  return Wait::waiting;
}

// --- main thread ---

void KeySource::on_event(void* self, uint32_t event) {
  auto& mine = *static_cast<KeySource*>(self);
  if (event == GW_EVENT_START && !mine.started_) {
    mine.started_ = true;
    mine.ask();
  }
  if (event == GW_EVENT_TICK) mine.ask_if_due();
}

void KeySource::on_post(void* self) { static_cast<KeySource*>(self)->ask_if_due(); }

void KeySource::ask_if_due() {
  const int64_t now = gw::monotonic_now();
  const int64_t begun = begun_ns_.load(std::memory_order_relaxed);
  const bool wanted = wanted_.load(std::memory_order_relaxed) &&
                      (begun == INT64_MIN || now - begun >= settings_.min_interval.count());
  if (!asking_.load(std::memory_order_relaxed) && (wanted || now >= due_ns_)) ask();
}

void KeySource::ask() {
  gw::question question;
  question.fields = accept;
  question.field_count = 1;
  question.timeout = settings_.timeout;
  question.max_bytes = max_jwks_bytes;
  begun_ns_.store(gw::monotonic_now(), std::memory_order_relaxed);
  wanted_.store(false, std::memory_order_relaxed);
  asking_.store(true, std::memory_order_relaxed);
  if (gw::fetch(self_, settings_.uri, question, &KeySource::on_answer, this) < 0)
    failed("there are too many fetches under way");
}

void KeySource::on_answer(void* self, const gw_fetch_answer* answer) {
  static_cast<KeySource*>(self)->take(gw::answer(answer));
}

void KeySource::take(gw::answer answer) {
  if (!answer) return failed(answer.reason());
  if (answer.status() != 200) return failed("it answered " + std::to_string(answer.status()));
  const bool same = !body_.empty() && answer.body() == body_;
  std::string wrong;
  Keys keys = same ? nullptr : parse_(answer.body(), wrong);
  if (!same && keys == nullptr) return failed("what it answered " + wrong);
  if (std::exchange(failures_, 0) > 0) self_.log(gw::level::info, "jwks_uri: there are keys again");
  due_ns_ = gw::monotonic_now() + lifetime_ns(answer.header("cache-control"), settings_.min_interval.count(),
                                              settings_.refresh.count());
  keep(answer.body());
  // The same keys again: whatever the workers judged with them stands.
  if (same) return wake();
  body_ = answer.body();
  publish(std::move(keys));
}

// A reload makes a new instance, and must not depend on a provider that is away just then. Longer ones than
// the host takes are not kept.
void KeySource::keep(std::string_view body) {
  const gw_kv_v0* kv = gw::detail::host.kv;
  if (!GW_HAS(kv, set) || kv->set == nullptr) return;
  const std::string key = "jwks " + settings_.url;
  kv->set(self_.handle(), gw::str(key), gw::monotonic_now(), gw::str(body), 0);
}

void KeySource::restore() {
  constexpr size_t longest = 16 * 1024;  // of a value
  const gw_kv_v0* kv = gw::detail::host.kv;
  if (!GW_HAS(kv, get) || kv->get == nullptr) return;
  std::string body(longest, '\0');
  const std::string key = "jwks " + settings_.url;
  const gw_rc size = kv->get(self_.handle(), gw::str(key), gw::monotonic_now(), body.data(), body.size());
  if (size <= 0 || static_cast<size_t>(size) > body.size()) return;
  body.resize(static_cast<size_t>(size));
  std::string wrong;
  Keys keys = parse_(body, wrong);
  if (keys == nullptr) return;
  body_ = std::move(body);
  publish(std::move(keys));
}

// The next try comes after 1 s, 2 s, 4 s, and so on up to min_interval.
void KeySource::failed(std::string_view why) {
  const int64_t pause = second_ns << std::min(failures_, 16u);
  due_ns_ = gw::monotonic_now() + std::min(pause, settings_.min_interval.count());
  ++failures_;
  const bool none = generation_.load(std::memory_order_relaxed) == 0;
  std::string line = "jwks_uri: no new keys: ";
  line += why;
  line += none ? "; tokens are answered 503 until there are" : "; the last ones stay in use";
  // Said once; the counter of fetches goes on.
  if (failures_ == 1) self_.log(gw::level::warning, line);
  wake();
}

void KeySource::publish(Keys keys) {
  {
    const std::lock_guard lock(mutex_);
    keys_ = std::move(keys);
    generation_.fetch_add(1, std::memory_order_release);
  }
  wake();
}

void KeySource::wake() {
  asking_.store(false, std::memory_order_relaxed);
  answers_.fetch_add(1, std::memory_order_release);
  std::vector<gw_ticket> woken;
  {
    const std::lock_guard lock(mutex_);
    woken.swap(waiting_);
  }
  for (const gw_ticket ticket : woken) gw::resume(ticket, nullptr);
}

}  // namespace auth
