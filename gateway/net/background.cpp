#include "net/background.h"

#include <uv.h>

#include <cassert>
#include <memory>
#include <utility>

#include "net/loop.h"

namespace penstock::net {

struct Background::Job {
  uv_work_t work;
  Background* owner;  // null: gone
  std::function<void()> run, done;
};

Background::~Background() {
  if (job_) job_->owner = nullptr;
}

void Background::run(std::function<void()> work, std::function<void()> done) {
  assert(!job_);
  job_ = new Job{{}, this, std::move(work), std::move(done)};
  job_->work.data = job_;
  uv_queue_work(
      loop_.raw(), &job_->work, [](uv_work_t* raw) { static_cast<Job*>(raw->data)->run(); },
      [](uv_work_t* raw, int) {
        const std::unique_ptr<Job> job(static_cast<Job*>(raw->data));
        if (!job->owner) return;
        job->owner->job_ = nullptr;
        job->done();
      });
}

void run_apart(Loop& loop, std::function<void()> work) {
  struct Apart {
    uv_work_t work;
    std::function<void()> run;
  };
  auto* apart = new Apart{{}, std::move(work)};
  apart->work.data = apart;
  uv_queue_work(
      loop.raw(), &apart->work, [](uv_work_t* raw) { static_cast<Apart*>(raw->data)->run(); },
      [](uv_work_t* raw, int) { delete static_cast<Apart*>(raw->data); });
}

}  // namespace penstock::net
