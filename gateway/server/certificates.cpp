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
  net::TicketRing ring;
  uint64_t rotate_ms = 0;  // 0: no tickets
  net::Timer rotation;
  uint64_t rereads = 0, refused = 0;
};

Certificates::Certificates(net::Loop& loop, Publish publish)
    : loop_(loop),
      publish_(std::move(publish)),
      watch_(loop, look_interval_ms, [this](const std::vector<std::string>& paths) { changed(paths); }) {}

Certificates::~Certificates() = default;

void Certificates::apply(const proxy::Snapshot& snapshot) {
  auto before = std::exchange(listeners_, {});
  for (const auto& info : snapshot.listeners) {
    if (!info->tls) continue;
    auto known = before.find(info->name);
    auto listener =
        known != before.end() ? std::move(known->second) : std::make_unique<Listener>(*this, info->name);
    listener->take(info->tls);
    listeners_.emplace(info->name, std::move(listener));
  }
  watch();
}

TlsServing Certificates::serving(const std::string& listener) const {
  auto found = listeners_.find(listener);
  return found == listeners_.end() ? TlsServing{} : found->second->serving();
}

void Certificates::watch() {
  std::vector<net::WatchedFile> files;
  for (const auto& [name, listener] : listeners_)
    files.insert(files.end(), listener->context->files().begin(), listener->context->files().end());
  watch_.watch(std::move(files));
}

void Certificates::changed(const std::vector<std::string>& paths) {
  for (const auto& [name, listener] : listeners_) {
    std::string what;
    for (const net::WatchedFile& file : listener->context->files())
      if (std::ranges::find(paths, file.path) != paths.end()) what += (what.empty() ? "" : ", ") + file.path;
    if (!what.empty()) reread(*listener, what);
  }
  watch();
}

// Everything that is whole is taken; what is not stays as it was, and its line says why.
void Certificates::reread(Listener& listener, const std::string& what) {
  std::vector<net::TlsProblem> problems;
  auto next = listener.context->reread(problems);
  bool refused = false;
  for (const net::TlsProblem& problem : problems) {
    const bool error = problem.severity == net::TlsProblem::Severity::error;
    refused |= error;
    say(fmt::format("listener {}: {}{}", listener.name,
                    error ? "the old one stays: " : "warning: ", problem.message));
  }
  if (refused) ++listener.refused;
  if (!next) return;
  if (!refused) {
    ++listener.rereads;
    say(fmt::format("listener {}: re-read {}", listener.name, what));
  }
  listener.take(next);
  publish_(listener.name, listener.serving());
}

void Certificates::write_metrics(observe::PrometheusText& out) const {
  using observe::MetricKind;
  if (listeners_.empty()) return;
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
  for (const auto& [name, listener] : listeners_) {
    out.sample({{"listener", name}, {"result", "taken"}}, static_cast<double>(listener->rereads));
    out.sample({{"listener", name}, {"result", "refused"}}, static_cast<double>(listener->refused));
  }
}

}  // namespace penstock::server
