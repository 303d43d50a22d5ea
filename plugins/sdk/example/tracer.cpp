// Spans of requests and of their attempts, one line of Zipkin's JSON (v2) each, written by a thread of the
// plugin.
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "penstock_plugin.hpp"

namespace {

std::string hex(const uint8_t* bytes, size_t size) {
  std::string out;
  char two[3];
  for (size_t i = 0; i < size; ++i) out.append(two, std::snprintf(two, sizeof two, "%02x", bytes[i]));
  return out;
}

// Lines on their way to the file. A worker takes the lock for a moment; the thread writes without it.
class writer {
 public:
  static constexpr size_t most = 10000;
  explicit writer(const std::string& file) : out_(file, std::ios::app), thread_([this] { run(); }) {}
  ~writer() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  bool add(std::string line) {
    const std::lock_guard lock(mutex_);
    if (lines_.size() >= most) return false;
    lines_.push_back(std::move(line));
    changed_.notify_one();
    return true;
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_ || !lines_.empty()) {
      changed_.wait(lock, [this] { return stopping_ || !lines_.empty(); });
      std::vector<std::string> lines;
      lines.swap(lines_);
      lock.unlock();
      for (const std::string& line : lines) out_ << line << '\n';
      out_.flush();
      lock.lock();
    }
  }
  std::ofstream out_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
  bool stopping_ = false;
  std::thread thread_;
};

struct tracer {
  static constexpr std::string_view type = "tracer", version = "1.0.0";
  struct config {
    gw::path file;
  };
  static constexpr auto fields() {
    return std::tuple{gw::req("file", &config::file, "Where spans are written")};
  }
  tracer(config c, gw::setup& setup)
      : cfg(std::move(c)), lost(setup.counter("tracer_lost_spans_total", "Spans that found no room")) {}

  // Not in the constructor: `penstock check` makes no threads and no files.
  struct worker_state {
    explicit worker_state(tracer& t) {
      const std::lock_guard lock(t.starting);
      if (!t.out) t.out = std::make_unique<writer>(t.cfg.file.text);
    }
  };

  void on_request_headers(gw::request r) { r.sample(true); }
  void on_attempt(gw::exchange x, const gw_attempt& a) {
    if (a.duration_ns < 0) return;  // it only begins
    const gw_trace_context t = x.trace();
    write(t, "CLIENT", hex(a.span_id, 8), hex(t.span_id, 8), gw::view(a.endpoint), a.start_wall_ns,
          a.duration_ns);
  }
  void on_complete(gw::exchange x, const gw_summary& s) {
    const gw_trace_context t = x.trace();
    write(t, "SERVER", hex(t.span_id, 8), (t.flags & GW_TRACE_PARENT) ? hex(t.parent_id, 8) : "",
          gw::view(s.route), s.start_wall_ns, s.total_ns);
  }

  // Names of routes and endpoints need no escapes: they come from the configuration, whose rules exclude
  // them.
  void write(const gw_trace_context& t, const char* kind, const std::string& id, const std::string& parent,
             std::string_view name, int64_t start_ns, int64_t duration_ns) {
    std::string line = R"({"traceId":")" + hex(t.trace_id, 16) + R"(","id":")" + id + '"';
    if (!parent.empty()) line += R"(,"parentId":")" + parent + '"';
    line += R"(,"kind":")" + std::string(kind) + R"(","name":")" + std::string(name) + R"(","timestamp":)" +
            std::to_string(start_ns / 1000) + R"(,"duration":)" + std::to_string(duration_ns / 1000 + 1) +
            "}";
    if (!out->add(std::move(line))) lost.add(1);
  }

  config cfg;
  gw::counter lost;
  std::mutex starting;
  std::unique_ptr<writer> out;
};

}  // namespace

GW_PLUGIN(tracer)
