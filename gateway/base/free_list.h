// Memory of objects that come and go with every request: freed slots are kept and given out again, so the
// steady state allocates nothing. One thread. Use: class T : public FreeListed { ... }; new (list) T(...);
// delete t;
#pragma once
#include <cstddef>
#include <new>

#include "base/sanitized.h"

namespace penstock {

class FreeList {
 public:
  // Under AddressSanitizer a freed slot goes back at once, so that a use of it shows.
  static constexpr bool keeps = !address_sanitizer;

  explicit FreeList(size_t max_kept = 4096) : max_kept_(max_kept) {}
  FreeList(const FreeList&) = delete;
  FreeList& operator=(const FreeList&) = delete;
  ~FreeList() {
    while (first_) {
      Slot* slot = first_;
      first_ = slot->next;
      ::operator delete(slot);
    }
  }

 private:
  friend class FreeListed;
  struct alignas(std::max_align_t) Slot {
    FreeList* owner;
    Slot* next;
  };
  void* take(size_t size) {
    if (first_ && size == size_) {
      Slot* slot = first_;
      first_ = slot->next;
      --kept_;
      return slot + 1;
    }
    size_ = size;
    Slot* slot = static_cast<Slot*>(::operator new(sizeof(Slot) + size));
    slot->owner = this;
    return slot + 1;
  }
  static void give(void* object) {
    Slot* slot = static_cast<Slot*>(object) - 1;
    FreeList& list = *slot->owner;
    if (!keeps || list.kept_ >= list.max_kept_) {
      ::operator delete(slot);
      return;
    }
    slot->next = list.first_;
    list.first_ = slot;
    ++list.kept_;
  }
  Slot* first_ = nullptr;
  size_t kept_ = 0, size_ = 0, max_kept_;
};

// The list must outlive the objects, and all objects of one list be of one class.
class FreeListed {
 public:
  static void* operator new(size_t size, FreeList& list) { return list.take(size); }
  static void operator delete(void* object) { FreeList::give(object); }
  static void operator delete(void* object, FreeList&) { FreeList::give(object); }
};

}  // namespace penstock
