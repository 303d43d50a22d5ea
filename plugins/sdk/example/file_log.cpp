// A log of one's own: "METHOD PATH STATUS MICROSECONDS", a line a request. A worker puts each line into a
// ring without a lock or a call; a thread writes what came. A full ring loses the line and counts that.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <penstock_plugin.hpp>
#include <thread>

struct FileLog {
  static constexpr std::string_view type = "file_log", version = "1.0.0";
  struct config {
    gw::path file;
  };
  static constexpr auto fields() {
    return std::tuple{gw::req("file", &config::file, "Where the lines go; relative to the configuration")};
  }
  FileLog(config c, gw::setup& setup) : file(std::move(c.file.text)), self(setup.self()) {
    lost = setup.counter("example_log_lost_total", "Lines for which there was no room");
    setup.subscribe(GW_EVENT_REOPEN_LOGS, &FileLog::on_event, this);
  }
  static void on_event(void* self, uint32_t) { static_cast<FileLog*>(self)->generation.fetch_add(1); }

  // One for each worker: a ring with one who writes and one who reads, and its thread. No thread begins
  // before the daemon serves.
  struct worker_state {
    explicit worker_state(FileLog& l) : log(l), thread([this] { write_lines(); }) {}
    ~worker_state() {
      {
        const std::lock_guard lock(mutex);
        stopping = true;
      }
      ended.notify_one();
      thread.join();
    }
    struct line {
      uint16_t size;
      char text[254];
    };
    void write_lines() {
      std::unique_lock lock(mutex);
      bool last = false;
      while (!last) {
        // Lines of a tenth of a second go out together; nobody is woken for a single one.
        last = ended.wait_for(lock, std::chrono::milliseconds(100), [this] { return stopping; });
        drain();
      }
      if (descriptor >= 0) ::close(descriptor);
    }
    void drain() {
      const uint64_t end = written.load(std::memory_order_acquire);
      for (uint64_t at = taken.load(std::memory_order_relaxed); at < end; ++at) {
        put(ring[at % ring.size()]);
        taken.store(at + 1, std::memory_order_release);
      }
    }
    void put(const line& l) {
      if (const uint32_t now = log.generation.load(); now != opened) reopen(now);
      if (descriptor < 0 || ::write(descriptor, l.text, l.size) != l.size) log.lost.add();
    }
    void reopen(uint32_t now) {
      opened = now;  // one that fails is tried again at the next event, and said once
      if (descriptor >= 0) ::close(descriptor);
      descriptor = ::open(log.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
      if (descriptor < 0) log.self.log(gw::level::error, "the file cannot be opened");
    }

    FileLog& log;
    std::array<line, 1024> ring;
    std::atomic<uint64_t> written{0}, taken{0};
    int descriptor = -1;
    uint32_t opened = 0;  // the generation that `descriptor` is of
    std::mutex mutex;     // for the end alone
    std::condition_variable ended;
    bool stopping = false;
    std::thread thread;  // last: it uses the rest
  };

  static int shown(gw_str text) { return static_cast<int>(std::min<size_t>(text.len, 100)); }

  void on_complete(gw::exchange e, const gw_summary& s) {
    worker_state& w = *e.worker<worker_state>();
    const uint64_t at = w.written.load(std::memory_order_relaxed);
    if (at - w.taken.load(std::memory_order_acquire) == w.ring.size()) return lost.add();
    worker_state::line& l = w.ring[at % w.ring.size()];
    const int n =
        std::snprintf(l.text, sizeof l.text, "%.*s %.*s %u %lld\n", shown(s.method), s.method.ptr,
                      shown(s.path), s.path.ptr, s.status, static_cast<long long>(s.total_ns / 1000));
    l.size = static_cast<uint16_t>(n);  // it fits: the two texts are cut
    w.written.store(at + 1, std::memory_order_release);
  }

  std::string file;
  gw::instance self;
  gw::counter lost;
  std::atomic<uint32_t> generation{1};  // counts the times that the file is to be opened
};
GW_PLUGIN(FileLog)
