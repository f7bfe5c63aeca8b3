package Torture::Record;

# Copyright (C) the nginx gray module authors
#
# What a client writes down about a request, one a line:
#
#     kind      write, get, decision, history, or site: what is proxied
#     who       the client's name
#     start     when it was sent, and
#     end       when the answer was there, by the monotonic clock
#     since     when that connection had nothing on its way for the last time
#     kept      how many requests the connection has had before
#     status    0: there was no answer, "error" says why
#     zone      the number of the zone that the process which answered has
#     conf      the number of its nginx.conf
#     pid       that process
#     revision  by the ETag, or $gray_NAME_revision
#     a, b, c   write: the operation as JSON, the body of the answer
#               get: nothing, the body of the answer
#               history: the revision that was asked for, the body
#               decision: the rule, the reason, the variant

use strict;
use warnings;

use Exporter ();
use Time::HiRes ();

our @ISA = ('Exporter');
our @EXPORT = qw(now record_line record_of);

my @fields = qw(kind who start end since kept status zone conf pid revision
                error a b c);

my %escape = ("\\" => "\\\\", "\t" => "\\t", "\n" => "\\n");
my %plain = reverse %escape;


sub now { return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) }


sub record_line {
    my ($record) = @_;

    my @values = map { defined $_ ? $_ : '' } @$record{@fields};

    s/([\\\t\n])/$escape{$1}/g for @values;

    return join("\t", @values) . "\n";
}


sub record_of {
    my ($line) = @_;

    chomp $line;

    my %record;
    @record{@fields} = split /\t/, $line, -1;

    # a client that was killed may have left half a line

    return unless defined $record{c};

    s/(\\[\\tn])/$plain{$1}/g for values %record;

    return \%record;
}


1;
