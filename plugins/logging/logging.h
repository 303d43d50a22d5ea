// The access log: one line for each exchange, in a format of choice, through a bounded queue to a thread that
// writes. The instance is shared by all workers and immutable; a worker's state holds its line buffer and its
// ring.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "custom_format.h"
#include "destination.h"
#include "line.h"
#include "penstock_plugin.hpp"
#include "records.h"
#include "redaction.h"
#include "settings.h"
#include "syslog_header.h"
#include "writer.h"

namespace logging {

// The counters and the daemon's own log.
class LogReport final : public Report {
 public:
  explicit LogReport(gw::setup& setup);
  void lost(Loss why, uint64_t lines) override { lost_[static_cast<size_t>(why)].add(lines); }
  void retried() override { retried_.add(); }
  void failed(const std::string& sentence) override { self_.log(gw::level::error, sentence); }
  void recovered(const std::string& sentence) override { self_.log(gw::level::info, sentence); }
  void cut() const { cut_.add(); }

 private:
  gw::instance self_;
  std::array<gw::counter, loss_names.size()> lost_;
  gw::counter retried_, cut_;
};

class Logging {
 public:
  static constexpr std::string_view type = "logging", version = "1.0.0";
  using config = Settings;
  static constexpr auto fields() { return Settings::fields(); }

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
  void set_up_writer(const Settings& settings, gw::setup& setup);
  void set_up_syslog(const Settings& settings, const Destination& to);
  bool wanted(const gw_summary& summary, worker_state& worker) const;
  void write(Line& line, const gw::exchange& e, const gw_summary& summary, SecondText& time) const;

  Format format_ = Format::custom;
  Sample sample_;
  uint64_t success_below_, errors_below_;  // of 2^32
  Redaction redaction_;
  std::optional<CustomFormat> custom_;
  std::optional<SyslogHeader> syslog_;
  size_t longest_line_ = Line::capacity;
  gw::attribute method_, path_, query_, host_, client_, consumer_, api_version_;
  gw::header user_agent_, referer_;
  // Their addresses are known to the host, to workers and to each other. The writer ends before its report.
  std::unique_ptr<LogReport> report_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace logging
