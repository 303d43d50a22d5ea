// Lines in batches to a receiver of newline-delimited records (JSON: NDJSON), or of Elasticsearch's bulk
// form. One batch at a time is under way, so that lines keep their order; while it waits for a receiver,
// lines wait in the workers' rings. At least once: an answer that did not come has the batch sent again.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "bulk_answer.h"
#include "http_client.h"
#include "retry.h"
#include "sink.h"

namespace logging {

// Records that go together; in bulk form each has its action line before it.
class Batch {
 public:
  explicit Batch(std::string action) : action_(std::move(action)) {}
  void add(std::string_view line);
  std::string_view body() const { return text_; }
  size_t count() const { return ends_.size(); }
  bool empty() const { return ends_.empty(); }
  void clear();
  // Drops all but the records for which keep(index) says so.
  template <class Keep>
  void retain(Keep keep) {
    size_t from = 0, kept = 0, size = 0;
    for (size_t i = 0; i < ends_.size(); ++i) {
      const size_t end = ends_[i];
      if (keep(i)) {
        text_.replace(size, end - from, text_, from, end - from);
        size += end - from;
        ends_[kept++] = size;
      }
      from = end;
    }
    ends_.resize(kept);
    text_.resize(size);
  }

 private:
  const std::string action_;
  std::string text_;
  std::vector<size_t> ends_;
};

struct HttpSettings {
  HttpTarget target;
  std::string index;  // of the bulk form; empty: lines alone
  size_t batch = 512 * 1024;
  std::chrono::nanoseconds flush_interval = std::chrono::seconds(1);
  RetryPolicy retry;
};

class HttpSink final : public Sink {
 public:
  HttpSink(const CurlLibrary& curl, HttpSettings settings, Report& report, Ending& ending);

  void open() override {}  // the receiver may come later
  void take(Ring::Span lines) override;
  std::optional<Clock::time_point> settle(Settle how) override;

 private:
  void deliver();
  // Takes out of the batch what needs no other try.
  void judge(const HttpClient::Answer& answer);
  void judge_items(const HttpClient::Answer& answer);
  void refuse(uint64_t lines, const std::string& why);
  void say_failed(const std::string& why);
  void say_recovered();

  const HttpSettings settings_;
  const std::string name_;  // of the receiver, without what a query may hold
  Report& report_;
  Ending& ending_;
  HttpClient client_;
  Outage outage_;
  Batch batch_;
  Clock::time_point due_;  // of the batch, while it is not empty
};

}  // namespace logging
