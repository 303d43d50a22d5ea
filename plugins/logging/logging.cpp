#include "logging.h"

#include <unistd.h>

#include <cstddef>
#include <random>

#include "make_sink.h"

namespace logging {
namespace {

uint64_t below(double fraction) { return static_cast<uint64_t>(fraction * 4294967296.0); }

void on_event(void* user, uint32_t event) {
  if (event == GW_EVENT_REOPEN_LOGS) static_cast<Writer*>(user)->reopen();
}

// What is masked: the names of the configuration, and wherever an authenticator reads credentials.
Redaction redaction_of(Redact configured, const gw::setup& setup) {
  setup.each_credential([&](uint32_t kind, std::string_view name) {
    if (kind == GW_CARRIER_HEADER) configured.headers.emplace_back(name);
    if (kind == GW_CARRIER_QUERY) configured.query.emplace_back(name);  // cookies are masked all
  });
  return {configured.headers, std::move(configured.query)};
}

gw::header shown_header(const Redaction& redaction, std::string_view name) {
  return redaction.hides_header(name) ? gw::header() : gw::header(name);
}

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

}  // namespace

LogReport::LogReport(gw::setup& setup)
    : self_(setup.self()),
      retried_(setup.counter("penstock_log_retries_total",
                             "Times that a receiver of access logs was tried again")),
      cut_(
          setup.counter("penstock_log_cut_total", "Access-log lines with values that were cut or left out")) {
  for (size_t i = 0; i < loss_names.size(); ++i)
    lost_[i] = setup.counter("penstock_log_dropped_total", "Access-log lines that were not written", "reason",
                             loss_names[i]);
}

Logging::worker_state::worker_state(Logging& logging)
    : writer(*logging.writer_), ring(writer.attach()), seed(std::random_device{}() | 1u) {
  line.set_limit(logging.longest_line_);
}

Logging::worker_state::~worker_state() {
  ring->close();
  writer.pushed();
}

uint64_t Logging::worker_state::random() {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed >> 32;
}

Logging::Logging(config c, gw::setup& setup)
    : sample_(c.sample),
      success_below_(below(c.sample.success.fraction)),
      errors_below_(below(c.sample.errors.fraction)),
      redaction_(redaction_of(std::move(c.redact), setup)),
      method_("request.method"),
      path_("request.path"),
      query_("request.query"),
      host_("request.host"),
      client_("client.address"),
      consumer_("consumer.id"),
      api_version_("api.version"),
      user_agent_(shown_header(redaction_, "user-agent")),
      referer_(shown_header(redaction_, "referer")),
      report_(std::make_unique<LogReport>(setup)) {
  if (c.format == "json") format_ = Format::json;
  if (c.format == "common") format_ = Format::common;
  if (c.format == "combined") format_ = Format::combined;
  if (format_ == Format::custom) custom_.emplace(c.format, redaction_, setup);
  if (c.queue.count < 4096 || c.queue.count > (uint64_t{1} << 30))
    setup.error("queue", "must be from 4KiB to 1GiB");
  set_up_writer(c, setup);
}

void Logging::set_up_writer(const Settings& settings, gw::setup& setup) {
  std::string error;
  std::optional<Destination> to = parse_destination(settings.file, error);
  if (!to) return setup.error("file", error);
  if (to->kind == Destination::Kind::file) to->path = to->text = setup.path(to->path);
  if (to->syslog()) set_up_syslog(settings, *to);
  const Content content = format_ == Format::json ? Content::json : Content::text;
  const Writer::MakeSink make_sink = plan_sink(settings, *to, content, *report_, setup);
  if (!make_sink) return;
  writer_ = std::make_unique<Writer>(make_sink, *report_, settings.queue.count, settings.linger);
  setup.subscribe(GW_EVENT_REOPEN_LOGS, &on_event, writer_.get());
}

void Logging::set_up_syslog(const Settings& settings, const Destination& to) {
  // What every receiver should take: of datagrams RFC 5426, section 3.2; of streams as RFC 5425, 4.3.1, has
  // it.
  constexpr size_t datagram = 2048, stream = 8192;
  const Syslog syslog = settings.syslog.value_or(Syslog{});
  longest_line_ = to.kind == Destination::Kind::syslog_udp ? datagram : stream;
  if (syslog.max_message) longest_line_ = syslog.max_message->count;
  syslog_.emplace(syslog.facility, syslog.app_name, host_name(), ::getpid());
}

bool Logging::wanted(const gw_summary& s, worker_state& worker) const {
  if (sample_.slower_than && s.total_ns >= sample_.slower_than->count()) return true;
  const bool failed = s.status >= 400 || s.reason.len > 0 ||
                      (s.flags & (GW_SUMMARY_CLIENT_CLOSED | GW_SUMMARY_TRUNCATED)) != 0;
  const uint64_t limit = failed ? errors_below_ : success_below_;
  return limit >= (uint64_t{1} << 32) || worker.random() < limit;
}

[[gnu::always_inline]] inline void Logging::write(Line& line, const gw::exchange& e,
                                                  const gw_summary& summary, SecondText& time) const {
  if (custom_) return custom_->write(line, e, summary, redaction_, time);
  // Older daemons do not: they are asked.
  const bool told = summary.struct_size >= offsetof(gw_summary, api_version) + sizeof(gw_str);
  const auto fact = [&](gw_str gw_summary::* member, const gw::attribute& attribute) {
    return told ? gw::view(summary.*member) : e.attribute(attribute);
  };
  const Facts facts{summary,
                    fact(&gw_summary::method, method_),
                    fact(&gw_summary::path, path_),
                    fact(&gw_summary::query, query_),
                    fact(&gw_summary::host, host_),
                    fact(&gw_summary::client_address, client_),
                    fact(&gw_summary::consumer_id, consumer_),
                    fact(&gw_summary::api_version, api_version_),
                    e.request_header(user_agent_),
                    format_ == Format::combined ? e.request_header(referer_) : std::string_view()};
  if (format_ == Format::json) write_json(line, facts, redaction_, time);
  if (format_ == Format::common) write_common(line, facts, redaction_, time);
  if (format_ == Format::combined) write_combined(line, facts, redaction_, time);
}

void Logging::on_complete(gw::exchange e, const gw_summary& summary) const {
  auto& worker = *e.worker<worker_state>();
  if (!wanted(summary, worker)) return;
  Line& line = worker.line;
  line.clear();
  if (syslog_) syslog_->begin(line, summary.status, summary.start_wall_ns, worker.time);
  write(line, e, summary, worker.time);
  if (line.cut()) report_->cut();
  if (worker.ring->push(line.text())) {
    worker.writer.pushed();
  } else {
    report_->lost(Loss::queue, 1);
  }
}

}  // namespace logging

using logging::Logging;
GW_PLUGIN(Logging)
