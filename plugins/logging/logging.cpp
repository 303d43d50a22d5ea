#include "logging.h"

#include <unistd.h>

#include <cstddef>
#include <random>

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

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Logging::worker_state::worker_state(Logging& logging)
    : writer(*logging.writer_), ring(writer.attach()), seed(std::random_device{}() | 1u) {}

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
    : format_(Format::custom),
      file_(std::move(c.file)),
      sample_(c.sample),
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
      dropped_(setup.counter("penstock_log_dropped_total", "Access-log lines that were not written")) {
  if (c.format == "json") format_ = Format::json;
  if (c.format == "common") format_ = Format::common;
  if (c.format == "combined") format_ = Format::combined;
  if (format_ == Format::custom) add_pieces(c.format, setup);
  if (c.queue.count < 4096 || c.queue.count > (uint64_t{1} << 30))
    setup.error("queue", "must be from 4KiB to 1GiB");
  check_file(setup);
  writer_ = std::make_unique<Writer>(
      file_, c.queue.count, [counter = dropped_](uint64_t lines) { counter.add(lines); },
      [self = setup.self()](const std::string& what) { self.log(gw::level::error, what); });
  setup.subscribe(GW_EVENT_REOPEN_LOGS, &on_event, writer_.get());
}

void Logging::check_file(gw::setup& setup) {
  if (file_ == "stdout" || file_ == "stderr") return;
  if (file_.starts_with("syslog:") || file_.starts_with("http://") || file_.starts_with("https://")) {
    setup.error("file", "'" + file_ + "' is not supported yet; use a path, stdout or stderr");
    return;
  }
  file_ = setup.path(file_);
  const std::string folder = folder_of(file_);
  if (::access(folder.c_str(), F_OK) != 0) {
    setup.error("file", "the folder of this file does not exist");
  } else if (::access(file_.c_str(), F_OK) == 0 ? ::access(file_.c_str(), W_OK) != 0
                                                : ::access(folder.c_str(), W_OK) != 0) {
    setup.error("file", "this file cannot be written");
  }
}

void Logging::add_pieces(const std::string& format, gw::setup& setup) {
  using Kind = Piece::Kind;
  static constexpr std::pair<std::string_view, Kind> own[] = {{"response.status", Kind::status},
                                                              {"response.size", Kind::response_size},
                                                              {"request.size", Kind::request_size},
                                                              {"duration.total", Kind::duration},
                                                              {"reason", Kind::reason},
                                                              {"timestamp", Kind::timestamp},
                                                              {"request.query", Kind::query}};
  std::string error;
  for (TemplatePiece& piece : parse_template(format, error)) {
    if (piece.kind == TemplatePiece::Kind::literal) {
      pieces_.push_back({Kind::literal, std::move(piece.text), {}});
      continue;
    }
    Kind kind = redaction_.hides_attribute(piece.text) ? Kind::masked : Kind::attribute;
    if (kind != Kind::masked && piece.text == "header.referer") kind = Kind::url;
    for (const auto& [name, own_kind] : own) {
      if (piece.text == name) kind = own_kind;
    }
    const gw::attribute attribute = kind == Kind::timestamp ? gw::attribute() : gw::attribute(piece.text);
    if (kind != Kind::timestamp && !attribute) setup.error("format", "'" + piece.text + "' is no attribute");
    pieces_.push_back({kind, {}, attribute});
  }
  if (!error.empty()) setup.error("format", error);
  bool any = false;
  for (const Piece& piece : pieces_) any = any || piece.kind != Kind::literal;
  // A misspelt name of a format would otherwise be a template that writes itself again and again.
  if (error.empty() && !any) {
    setup.error("format",
                "'" + format + "' is none of json, common, combined, and no template with an {attribute}");
  }
}

bool Logging::wanted(const gw_summary& s, worker_state& worker) const {
  if (sample_.slower_than && s.total_ns >= sample_.slower_than->count()) return true;
  const bool failed = s.status >= 400 || s.reason.len > 0;
  const uint64_t limit = failed ? errors_below_ : success_below_;
  return limit >= (uint64_t{1} << 32) || worker.random() < limit;
}

void Logging::on_complete(gw::exchange e, const gw_summary& summary) const {
  auto& worker = *e.worker<worker_state>();
  if (!wanted(summary, worker)) return;
  Line& line = worker.line;
  line.clear();
  if (format_ == Format::custom) {
    write_custom(line, e, summary, worker.time);
  } else {
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
    if (format_ == Format::json) write_json(line, facts, redaction_, worker.time);
    if (format_ == Format::common) write_common(line, facts, redaction_, worker.time);
    if (format_ == Format::combined) write_combined(line, facts, redaction_, worker.time);
  }
  if (worker.ring->push(line.text())) {
    worker.writer.pushed();
  } else {
    dropped_.add();
  }
}

void Logging::write_custom(Line& out, const gw::exchange& e, const gw_summary& s, SecondText& time) const {
  using Kind = Piece::Kind;
  for (const Piece& piece : pieces_) {
    switch (piece.kind) {
      case Kind::literal: out.raw(piece.literal); break;
      case Kind::attribute: out.escaped(e.attribute(piece.attribute)); break;
      case Kind::status: out.number(s.status); break;
      case Kind::response_size: out.number(s.response_body_bytes); break;
      case Kind::request_size: out.number(s.request_body_bytes); break;
      case Kind::duration: out.seconds(s.total_ns); break;
      case Kind::reason: out.escaped(gw::view(s.reason)); break;
      case Kind::timestamp: time.iso(out, s.start_wall_ns); break;
      case Kind::masked:
        if (e.attribute(piece.attribute).data() != nullptr) out.raw(Redaction::mask);
        break;
      case Kind::query: write_query(out, e.attribute(piece.attribute), redaction_); break;
      case Kind::url: write_url(out, e.attribute(piece.attribute), redaction_); break;
    }
  }
  out.end({});
}

}  // namespace logging

using logging::Logging;
GW_PLUGIN(Logging)
