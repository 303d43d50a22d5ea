#include "server/certificates.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/console.h"

namespace penstock::server {
namespace {

// How often the files are looked at; a change is taken when the second look finds it at rest.
constexpr uint64_t look_interval_ms = 500;

}  // namespace

struct Certificates::Listener {
  Listener(Certificates& of, std::string its_name)
      : owner(of),
        name(std::move(its_name)),
        rotation(of.loop_, [](void* self) { static_cast<Listener*>(self)->rotate(); }, this) {}

  void take(const std::shared_ptr<const net::TlsServerContext>& next) {
    context = next;
    files = context->files();
    const uint64_t period_ms = uint64_t{context->settings().ticket_lifetime_s} * 1000;
    if (period_ms != rotate_ms) {
      rotate_ms = period_ms;
      if (rotate_ms > 0)
        rotation.start(rotate_ms);
      else
        rotation.stop();
    }
  }
  void rotate() {
    ring.rotate();
    rotation.start(rotate_ms);
    if (!context->file_tickets()) owner.publish_(name, serving());
  }
  TlsServing serving() const {
    if (rotate_ms == 0) return {context, nullptr};
    return {context, context->file_tickets() ? context->file_tickets() : ring.keys()};
  }

  Certificates& owner;
  std::string name;
  std::shared_ptr<const net::TlsServerContext> context;
  std::vector<net::WatchedFile> files;  // as they were when they were last read, for better or worse
  net::TicketRing ring;
  uint64_t rotate_ms = 0;  // 0: no tickets
  net::Timer rotation;
};

// One listener's files, read again: away from the main thread until adopt().
struct Certificates::Reading {
  Reading(std::string its_listener, std::string changed_files,
          std::shared_ptr<const net::TlsServerContext> served)
      : listener(std::move(its_listener)), what(std::move(changed_files)), before(std::move(served)) {}

  void read() {
    for (const net::WatchedFile& file : before->files())
      files.push_back({file.path, net::FileStamp::of(file.path)});
    next = before->reread(problems);
    if (next) files = next->files();
  }

  std::string listener, what;
  std::shared_ptr<const net::TlsServerContext> before, next;  // next null: nothing of it can be served
  std::vector<net::WatchedFile> files;
  std::vector<net::TlsProblem> problems;
};

Certificates::Certificates(net::Loop& loop, Publish publish)
    : loop_(loop),
      publish_(std::move(publish)),
      watch_(loop, look_interval_ms, [this](const std::vector<std::string>& paths) { changed(paths); }),
      background_(loop) {}

Certificates::~Certificates() = default;

void Certificates::apply(const proxy::Snapshot& snapshot) {
  auto before = std::exchange(listeners_, {});
  for (const auto& info : snapshot.listeners) {
    if (!info->tls) continue;
    auto known = before.find(info->name);
    auto listener =
        known != before.end() ? std::move(known->second) : std::make_unique<Listener>(*this, info->name);
    listener->take(info->tls);
    rereads_.try_emplace(info->name);
    listeners_.emplace(info->name, std::move(listener));
  }
  watch();
}

TlsServing Certificates::serving(const std::string& listener) const {
  auto found = listeners_.find(listener);
  return found == listeners_.end() ? TlsServing{} : found->second->serving();
}

// A second look at the files once what is being read is adopted: it is then compared with what was read.
void Certificates::watch() {
  if (background_.busy()) return;
  std::vector<net::WatchedFile> files;
  for (const auto& [name, listener] : listeners_)
    files.insert(files.end(), listener->files.begin(), listener->files.end());
  watch_.watch(std::move(files));
}

void Certificates::changed(const std::vector<std::string>& paths) {
  auto readings = std::make_shared<std::vector<Reading>>();
  for (const auto& [name, listener] : listeners_) {
    std::string what;
    for (const net::WatchedFile& file : listener->files)
      if (std::ranges::find(paths, file.path) != paths.end()) what += (what.empty() ? "" : ", ") + file.path;
    if (!what.empty()) readings->emplace_back(name, std::move(what), listener->context);
  }
  watch_.watch({});
  background_.run(
      [readings] {
        for (Reading& reading : *readings) reading.read();
      },
      [this, readings] {
        for (Reading& reading : *readings) adopt(reading);
        watch();
      });
}

// Everything that is whole is taken; what is not stays as it was, and its line says why.
void Certificates::adopt(Reading& reading) {
  auto known = listeners_.find(reading.listener);
  // A reload has read them anew in between: should they have changed since, that is seen next.
  if (known == listeners_.end() || known->second->context != reading.before) return;
  Listener& listener = *known->second;
  bool refused = false;
  for (const net::TlsProblem& problem : reading.problems) {
    const bool error = problem.severity == net::TlsProblem::Severity::error;
    refused |= error;
    say(fmt::format("listener {}: {}{}", listener.name,
                    error ? "the old one stays: " : "warning: ", problem.message));
  }
  Rereads& counts = rereads_[listener.name];
  if (refused) ++counts.refused;
  listener.files = std::move(reading.files);
  if (!reading.next) return;
  if (!refused) {
    ++counts.taken;
    say(fmt::format("listener {}: re-read {}", listener.name, reading.what));
  }
  listener.take(reading.next);
  publish_(listener.name, listener.serving());
}

void Certificates::write_metrics(observe::PrometheusText& out) const {
  using observe::MetricKind;
  if (rereads_.empty()) return;
  out.family("penstock_certificate_expiry_timestamp_seconds", MetricKind::gauge,
             "When the certificate that is served expires, Unix time.");
  for (const auto& [name, listener] : listeners_) {
    const auto& facts = listener->context->certificates();
    const auto& files = listener->context->settings().certificates;
    for (size_t i = 0; i < facts.size(); ++i)
      out.sample({{"listener", name}, {"file", files[i].cert}}, static_cast<double>(facts[i].not_after));
  }
  out.family("penstock_tls_rereads_total", MetricKind::counter,
             "Times that changed files of a TLS listener were read again, by what became of it.");
  for (const auto& [name, counts] : rereads_) {
    out.sample({{"listener", name}, {"result", "taken"}}, static_cast<double>(counts.taken));
    out.sample({{"listener", name}, {"result", "refused"}}, static_cast<double>(counts.refused));
  }
}

}  // namespace penstock::server
