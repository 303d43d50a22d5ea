#include "net/file_watch.h"

#include <errno.h>
#include <sys/stat.h>
#include <uv.h>

#include <utility>

#include "net/loop.h"

namespace penstock::net {
namespace {

int64_t in_ns(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace

FileStamp FileStamp::of(const std::string& path) {
  struct stat info{};
  FileStamp stamp;
  if (::stat(path.c_str(), &info) != 0) {
    stamp.system_errno = errno;
    return stamp;
  }
  stamp.device = info.st_dev;
  stamp.inode = info.st_ino;
  stamp.size = static_cast<uint64_t>(info.st_size);
  stamp.changed_ns = in_ns(info.st_ctim);
  stamp.modified_ns = in_ns(info.st_mtim);
  return stamp;
}

// One look at all files, on a thread of the pool; the loop waits for it even when it ends.
struct FileWatch::Round {
  uv_work_t work;
  FileWatch* owner;  // null: gone
  uint64_t generation;
  std::vector<std::string> paths;
  std::vector<FileStamp> stamps;
};

FileWatch::FileWatch(Loop& loop, uint64_t interval_ms, OnChange fn)
    : loop_(loop),
      interval_ms_(interval_ms),
      fn_(std::move(fn)),
      timer_(loop, [](void* self) { static_cast<FileWatch*>(self)->ask(); }, this) {}

FileWatch::~FileWatch() {
  if (round_) round_->owner = nullptr;
}

void FileWatch::watch(std::vector<WatchedFile> files) {
  files_.clear();
  for (WatchedFile& file : files) {
    const FileStamp stamp = file.stamp;
    files_.push_back({std::move(file), stamp});
  }
  ++generation_;
  if (files_.empty())
    timer_.stop();
  else if (!timer_.running() && !round_)
    timer_.start(interval_ms_);
}

void FileWatch::ask() {
  round_ = new Round{{}, this, generation_, {}, {}};
  for (const File& file : files_) round_->paths.push_back(file.known.path);
  round_->work.data = round_;
  uv_queue_work(
      loop_.raw(), &round_->work,
      [](uv_work_t* work) {
        auto& round = *static_cast<Round*>(work->data);
        for (const std::string& path : round.paths) round.stamps.push_back(FileStamp::of(path));
      },
      [](uv_work_t* work, int) {
        std::unique_ptr<Round> round(static_cast<Round*>(work->data));
        if (round->owner) round->owner->answered(*round);
      });
}

void FileWatch::answered(Round& round) {
  round_ = nullptr;
  if (!files_.empty()) timer_.start(interval_ms_);
  if (round.generation != generation_ || round.stamps.size() != files_.size()) return;
  std::vector<std::string> changed;
  bool moving = false;
  for (size_t i = 0; i < files_.size(); ++i) {
    File& file = files_[i];
    const FileStamp before = std::exchange(file.last, round.stamps[i]);
    moving |= before != file.last;
    if (file.last != file.known.stamp) changed.push_back(file.known.path);
  }
  if (changed.empty() || moving) return;
  for (File& file : files_) file.known.stamp = file.last;
  const OnChange fn = fn_;  // may outlive this object
  fn(changed);
}

}  // namespace penstock::net
