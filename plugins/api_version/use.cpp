#include "use.h"

#include <algorithm>
#include <charconv>
#include <ctime>

namespace api_version {
namespace {

constexpr std::string_view others = "(others)", nobody = "(nobody)";

std::string utc(int64_t seconds) {
  const std::time_t at = seconds;
  std::tm parts{};
  gmtime_r(&at, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

void member(std::string& out, std::string_view name, std::string_view value) {
  out += '"';
  out += name;
  out += "\":";
  gw::detail::json_text(out, value);
}

}  // namespace

Use::Use(gw::setup& setup, std::vector<std::string> versions)
    : self_(setup.self()), versions_(std::move(versions)), mutex_(std::make_unique<std::mutex>()) {
  setup.each_consumer([this](std::string_view name) { names_.emplace_back(name); });
  if ((names_.size() + 2) * versions_.size() > most_cells) names_.clear();
  names_.emplace_back(others);
  names_.emplace_back(nobody);
  for (size_t i = 0; i + 2 < names_.size(); ++i) by_name_.emplace(names_[i], i);
}

Use::Use(Use&&) noexcept = default;
Use::~Use() = default;

size_t Use::index_of(std::string_view consumer) const {
  if (consumer.data() == nullptr) return columns() - 1;
  const auto found = by_name_.find(consumer);
  return found != by_name_.end() ? found->second : columns() - 2;
}

Use::Counts::Counts(Use& use) : use_(use), cells_(new Cell[use.versions_.size() * use.columns()]) {
  const std::lock_guard lock(*use_.mutex_);
  use_.workers_.push_back(this);
}

Use::Counts::~Counts() {
  const std::lock_guard lock(*use_.mutex_);
  use_.leave(*this);
  std::erase(use_.workers_, this);
}

// Loads and stores, no read-modify-write: nobody else writes here.
void Use::Counts::add(size_t version, std::string_view consumer, int64_t now_s) {
  Cell& cell = cells_[version * use_.columns() + use_.index_of(consumer)];
  cell.requests.store(cell.requests.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  cell.last_s.store(now_s, std::memory_order_relaxed);
}

std::string Use::key(size_t cell) const {
  return versions_[cell / columns()] + '/' + names_[cell % columns()];
}

Use::Sum Use::left(size_t cell, std::string* text) const {
  const gw_kv_v0* store = gw::detail::host.kv;
  if (!GW_HAS(store, get)) return {};
  char bytes[48];
  const std::string name = key(cell);
  const gw_rc size = store->get(self_.handle(), gw::str(name), gw::monotonic_now(), bytes, sizeof bytes);
  if (size <= 0 || static_cast<size_t>(size) > sizeof bytes) return {};
  Sum sum;
  const char* end = bytes + size;
  const auto space = std::from_chars(bytes, end, sum.requests).ptr;
  if (space != end) std::from_chars(space + 1, end, sum.last_s);
  if (text != nullptr) text->assign(bytes, static_cast<size_t>(size));
  return sum;
}

// For the instance of the same name that comes after this one, or is there already.
void Use::leave(const Counts& counts) {
  const gw_kv_v0* store = gw::detail::host.kv;
  if (!GW_HAS(store, cas)) return;
  for (size_t cell = 0; cell < versions_.size() * columns(); ++cell) {
    const uint64_t requests = counts.cells_[cell].requests.load(std::memory_order_relaxed);
    if (requests == 0) continue;
    const int64_t last_s = counts.cells_[cell].last_s.load(std::memory_order_relaxed);
    const std::string name = key(cell);
    gw_rc stored = 0;
    while (stored == 0) {  // somebody else's was faster
      std::string before;
      const Sum known = left(cell, &before);
      const std::string next =
          std::to_string(known.requests + requests) + ' ' + std::to_string(std::max(known.last_s, last_s));
      stored = store->cas(self_.handle(), gw::str(name), gw::monotonic_now(),
                          before.empty() ? gw_str{nullptr, 0} : gw::str(before), gw::str(next), 0);
    }
  }
}

std::string Use::json() const {
  const std::lock_guard lock(*mutex_);
  std::string out = "\"versions\":[";
  for (size_t v = 0; v < versions_.size(); ++v) {
    Sum all;
    std::string consumers;
    for (size_t c = 0; c < columns(); ++c) {
      const size_t at = v * columns() + c;
      Sum sum = left(at);
      for (const Counts* worker : workers_) {
        sum.requests += worker->cells_[at].requests.load(std::memory_order_relaxed);
        sum.last_s = std::max(sum.last_s, worker->cells_[at].last_s.load(std::memory_order_relaxed));
      }
      if (sum.requests == 0) continue;
      all.requests += sum.requests;
      all.last_s = std::max(all.last_s, sum.last_s);
      consumers += consumers.empty() ? "{" : ",{";
      member(consumers, "consumer", names_[c]);
      consumers += ",\"requests\":" + std::to_string(sum.requests) + ',';
      member(consumers, "last_seen", utc(sum.last_s));
      consumers += '}';
    }
    out += v == 0 ? "{" : ",{";
    member(out, "version", versions_[v]);
    out += ",\"requests\":" + std::to_string(all.requests);
    if (all.requests > 0) {
      out += ',';
      member(out, "last_seen", utc(all.last_s));
    }
    out += ",\"consumers\":[" + consumers + "]}";
  }
  return out + "]";
}

}  // namespace api_version
