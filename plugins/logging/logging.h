// The access log: one line for each exchange, in a format of choice, through a bounded queue to a thread that
// writes. The instance is shared by all workers and immutable; a worker's state holds its line buffer and its
// ring.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "line.h"
#include "penstock_plugin.hpp"
#include "records.h"
#include "redaction.h"
#include "template.h"
#include "writer.h"

namespace logging {

struct Sample {
  gw::percentage success{1}, errors{1};
  std::optional<gw::duration> slower_than;
  static constexpr auto fields() {
    return std::tuple{
        gw::opt("success", &Sample::success, "Share of the exchanges that went well"),
        gw::opt("errors", &Sample::errors, "Share of those with a status of 400 or more, or a reason"),
        gw::opt("slower_than", &Sample::slower_than, "All that took at least so long")};
  }
};

struct Redact {
  std::vector<std::string> headers, query;
  static constexpr auto fields() {
    return std::tuple{gw::opt("headers", &Redact::headers, "Headers whose values are never written"),
                      gw::opt("query", &Redact::query, "Query parameters whose values are never written")};
  }
};

class Logging {
 public:
  static constexpr std::string_view type = "logging", version = "1.0.0";

  struct config {
    std::string format = "json";
    std::string file = "stdout";
    Sample sample;
    Redact redact;
    gw::bytes queue{1 << 20};
  };
  static constexpr auto fields() {
    return std::tuple{
        gw::opt("format", &config::format, "json, common, combined, or a template with {attributes}"),
        gw::opt("file", &config::file, "A path, stdout or stderr"),
        gw::opt("sample", &config::sample, "Which exchanges are written"),
        gw::opt("redact", &config::redact, "What is masked besides the built-in headers"),
        gw::opt("queue", &config::queue, "Lines that may wait for the writer, per worker")};
  }
  struct worker_state {
    explicit worker_state(Logging& logging);
    ~worker_state();
    worker_state(const worker_state&) = delete;
    worker_state& operator=(const worker_state&) = delete;
    uint64_t random();

    Writer& writer;
    Ring* ring;
    uint64_t seed;
    SecondText time;
    Line line;
  };

  Logging(config c, gw::setup& setup);
  void on_complete(gw::exchange e, const gw_summary& summary) const;
  gw::verdict explain(gw::request) const { return gw::next(); }

 private:
  enum class Format { json, common, combined, custom };
  struct Piece {
    enum class Kind {
      literal,
      attribute,
      status,
      response_size,
      request_size,
      duration,
      reason,
      timestamp,
      query,
      url,
      masked
    };
    Kind kind;
    std::string literal;
    gw::attribute attribute;
  };
  void check_file(gw::setup& setup);
  void add_pieces(const std::string& format, gw::setup& setup);
  bool wanted(const gw_summary& summary, worker_state& worker) const;
  void write_custom(Line& out, const gw::exchange& e, const gw_summary& summary, SecondText& time) const;

  Format format_;
  std::string file_;
  Sample sample_;
  uint64_t success_below_, errors_below_;  // of 2^32
  Redaction redaction_;
  std::vector<Piece> pieces_;
  gw::attribute method_, path_, query_, host_, client_, consumer_, api_version_;
  gw::header user_agent_, referer_;
  gw::counter dropped_;
  std::unique_ptr<Writer> writer_;  // its address is known to the host and to workers
};

}  // namespace logging
