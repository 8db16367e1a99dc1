"""The cpu backend with every floating point operation of its kernels counted: `float` becomes a class that counts."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from genn_delays.backends.cpu import compiler, engine
from genn_delays.codegen import few

CLASS = """
#include <type_traits>
static uint64_t counted_products, counted_sums, counted_others;
struct Counted {
    float value;
    Counted() = default;
    constexpr Counted(float x) : value(x) {}
    constexpr Counted(double x) : value((float)x) {}
    template <class T, class = typename std::enable_if<std::is_integral<T>::value>::type>
    constexpr Counted(T x) : value((float)x) {}
    explicit operator double() const { return (double)value; }
    explicit operator int() const { return (int)value; }
    explicit operator long() const { return (long)value; }
    explicit operator uint8_t() const { return (uint8_t)value; }
    explicit operator uint32_t() const { return (uint32_t)value; }
    explicit operator uint16_t() const { return (uint16_t)value; }
    Counted& operator+=(Counted b) { ++counted_sums; value += b.value; return *this; }
    Counted& operator-=(Counted b) { ++counted_sums; value -= b.value; return *this; }
    Counted& operator*=(Counted b) { ++counted_products; value *= b.value; return *this; }
    Counted& operator/=(Counted b) { ++counted_others; value /= b.value; return *this; }
    Counted operator-() const { return Counted(-value); }
};
static inline Counted operator+(Counted a, Counted b) { return a += b; }
static inline Counted operator-(Counted a, Counted b) { return a -= b; }
static inline Counted operator*(Counted a, Counted b) { return a *= b; }
static inline Counted operator/(Counted a, Counted b) { return a /= b; }
static inline bool operator<(Counted a, Counted b) { return a.value < b.value; }
static inline bool operator>(Counted a, Counted b) { return a.value > b.value; }
static inline bool operator<=(Counted a, Counted b) { return a.value <= b.value; }
static inline bool operator>=(Counted a, Counted b) { return a.value >= b.value; }
static inline bool operator==(Counted a, Counted b) { return a.value == b.value; }
static inline bool operator!=(Counted a, Counted b) { return a.value != b.value; }
#define OF_ONE(name) static inline Counted name(Counted x) { ++counted_others; return Counted(::name(x.value)); }
#define OF_TWO(name) static inline Counted name(Counted x, Counted y) { return Counted(::name(x.value, y.value)); }
OF_ONE(sqrtf) OF_ONE(expf) OF_ONE(logf) OF_ONE(atanf) OF_ONE(fabsf) OF_ONE(rintf) OF_ONE(ceilf) OF_ONE(floorf)
OF_TWO(fmaxf) OF_TWO(fminf) OF_TWO(copysignf)
#define float Counted
"""
LANES = """
struct Lanes {
    Counted part[16];
    Lanes operator*(const Lanes& b) const {
        Lanes product;
        for (int k = 0; k < 16; ++k) product.part[k] = part[k] * b.part[k];
        return product;
    }
    friend Lanes operator*(Counted a, const Lanes& b) {
        Lanes product;
        for (int k = 0; k < 16; ++k) product.part[k] = a * b.part[k];
        return product;
    }
    Lanes& operator+=(const Lanes& b) { for (int k = 0; k < 16; ++k) part[k] += b.part[k]; return *this; }
};
"""
ACCESS = """
EXPORT void counted_now(uint64_t* into) {
    into[0] = counted_products, into[1] = counted_sums, into[2] = counted_others;
    counted_products = counted_sums = counted_others = 0;
}
"""
_LANES = "typedef float Lanes __attribute__((vector_size(64), aligned(4)));"


def counting(source: str) -> str:
    """A source of the cpu backend whose kernels count."""
    last = source.rindex("#include <")
    end = source.index("\n", last) + 1
    assert source.count(_LANES) == 1
    body = source[end:].replace(_LANES, LANES)
    return source[:end] + CLASS + body + ACCESS


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on engines of the cpu backend count; see :func:`operations`.

    They are of the form for many lanes, which computes nothing that is not needed. Where lanes are few, vectors are
    filled up with neurons that do not exist.
    """
    monkeypatch.setattr(few, "FEW_LANES", 0)
    true = engine.load_library
    flags = tuple(f for f in compiler.FLAGS if "openmp" not in f and f[:2] != "-O")
    monkeypatch.setattr(compiler, "FLAGS", flags)
    monkeypatch.setattr(engine, "load_library", lambda source: true(counting(source)))


def operations(built: Any) -> tuple[int, int, int]:
    """Products, sums and other operations since they were last asked for."""
    into = (ctypes.c_uint64 * 3)()
    built._library.counted_now(into)
    return tuple(into)  # type: ignore[return-value]
