/*-------------------------------------------------------------------------
 *
 * hnswlib.cpp
 *	  hnswlib in process, driven line by line from standard input.
 *
 * This is the yardstick without SQL: one thread calls the library and
 * nothing else happens.  bench.py starts the program once and asks it in
 * turn with the databases, so that all see the same state of the machine.
 *
 *	  hnswlib BASE QUERIES DIMENSIONS
 *
 * Both files hold float32 in the machine's order, unit length, one vector
 * after another; the distance is 1 - inner product, that is cosine.
 *
 *	  build M EF_CONSTRUCTION THREADS	-> seconds and bytes of the index
 *	  search EF K SECONDS				-> queries per second
 *	  find EF K							-> one line of K row numbers per query
 *
 * IDENTIFICATION
 *	  test/bench/hnswlib.cpp
 *
 *-------------------------------------------------------------------------
 */
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "hnswlib/hnswlib.h"

using Clock = std::chrono::steady_clock;
using Index = hnswlib::HierarchicalNSW<float>;

/* Vectors of one file, one after another. */
struct Vectors
{
	std::vector<float> values;
	size_t		dimensions;

	size_t		count() const { return values.size() / dimensions; }
	const float *at(size_t row) const { return &values[row * dimensions]; }
};

static double
seconds_since(Clock::time_point start)
{
	return std::chrono::duration<double>(Clock::now() - start).count();
}

/* Read a whole file of float32; ends the program when it cannot. */
static Vectors
read_vectors(const char *path, size_t dimensions)
{
	std::ifstream file(path, std::ios::binary | std::ios::ate);
	size_t		size = file ? static_cast<size_t>(file.tellg()) : 0;
	Vectors		vectors{std::vector<float>(size / sizeof(float)), dimensions};

	file.seekg(0);
	if (!file.read(reinterpret_cast<char *>(vectors.values.data()),
				   static_cast<std::streamsize>(size)) ||
		size == 0 || size % (dimensions * sizeof(float)) != 0)
	{
		std::fprintf(stderr, "could not read vectors from \"%s\"\n", path);
		std::exit(1);
	}
	return vectors;
}

/*
 * Build the index with so many threads.  The first vector goes in alone, for
 * the library wants an entry point before it is called from several threads.
 */
static std::unique_ptr<Index>
build_index(const Vectors &base, hnswlib::InnerProductSpace &space,
			size_t m, size_t ef_construction, size_t thread_count)
{
	auto		index = std::make_unique<Index>(&space, base.count(), m,
												ef_construction);
	std::atomic<size_t> next(1);
	std::vector<std::thread> threads;

	index->addPoint(base.at(0), 0);
	for (size_t i = 0; i < thread_count; i++)
		threads.emplace_back([&]
							 {
								 size_t		row;

								 while ((row = next++) < base.count())
									 index->addPoint(base.at(row), row);
							 });
	for (auto &thread : threads)
		thread.join();
	return index;
}

/* Bytes held per index: layer 0 in one block, upper layers beside it. */
static size_t
index_bytes(const Index &index)
{
	size_t		bytes = index.cur_element_count * index.size_data_per_element_;

	for (size_t i = 0; i < index.cur_element_count; i++)
		bytes += index.size_links_per_element_ * index.element_levels_[i];
	return bytes;
}

/* Search for so many seconds, queries in a fixed pseudo-random order. */
static double
measure_speed(const Index &index, const Vectors &queries, size_t k,
			  double seconds)
{
	auto		start = Clock::now();
	size_t		done = 0;
	size_t		found = 0;
	unsigned	state = 42;

	while (seconds_since(start) < seconds)
	{
		for (int i = 0; i < 20; i++, done++)
		{
			state = state * 1664525u + 1013904223u;
			found += index.searchKnn(queries.at((state >> 8) %
												queries.count()), k).size();
		}
	}
	if (found == 0)
		std::fprintf(stderr, "hnswlib found nothing\n");
	return static_cast<double>(done) / seconds_since(start);
}

/* Print what is found for every query, nearest first. */
static void
print_found(const Index &index, const Vectors &queries, size_t k)
{
	for (size_t i = 0; i < queries.count(); i++)
	{
		auto		heap = index.searchKnn(queries.at(i), k);
		std::vector<size_t> rows;

		for (; !heap.empty(); heap.pop())
			rows.push_back(heap.top().second);
		std::reverse(rows.begin(), rows.end());
		for (size_t row : rows)
			std::cout << row << ' ';
		std::cout << '\n';
	}
}

int
main(int argc, char **argv)
{
	if (argc != 4)
	{
		std::fprintf(stderr, "usage: hnswlib BASE QUERIES DIMENSIONS\n");
		return 2;
	}

	size_t		dimensions = std::strtoul(argv[3], nullptr, 10);
	Vectors		base = read_vectors(argv[1], dimensions);
	Vectors		queries = read_vectors(argv[2], dimensions);
	hnswlib::InnerProductSpace space(dimensions);
	std::unique_ptr<Index> index;
	std::string line;

	while (std::getline(std::cin, line))
	{
		std::istringstream words(line);
		std::string verb;
		size_t		a = 0,
					b = 0;
		double		c = 0;

		words >> verb >> a >> b >> c;
		if (verb == "build")
		{
			index.reset();
			auto		start = Clock::now();

			index = build_index(base, space, a, b, static_cast<size_t>(c));
			double		seconds = seconds_since(start);

			std::cout << seconds << ' ' << index_bytes(*index) << '\n';
		}
		else if (verb == "search" && index)
		{
			index->setEf(a);
			std::cout << measure_speed(*index, queries, b, c) << '\n';
		}
		else if (verb == "find" && index)
		{
			index->setEf(a);
			print_found(*index, queries, b);
		}
		else
		{
			std::fprintf(stderr, "cannot do \"%s\"\n", line.c_str());
			return 2;
		}
		std::cout.flush();
	}
	return 0;
}
