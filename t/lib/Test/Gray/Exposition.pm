package Test::Gray::Exposition;

# Copyright (C) the nginx gray module authors
#
# A strict reader of what Prometheus scrapes: the text format 0.0.4, and
# OpenMetrics 1.0.
#
#     my $m = scrape($t, '/metrics');
#     is(total($m, 'nginx_gray_requests_total', release => 'app',
#              code => '2xx'), 5, 'requests');
#
# exposition() dies of what is no such text, or is one that the formats do not
# want.  What it returns is { NAME => { LABELS => VALUE } }; LABELS are sorted,
# as "code=2xx,release=app", and a value is the text of the number.

use strict;
use warnings;

use Encode   ();
use Exporter ();

our @ISA = ('Exporter');
our @EXPORT = qw(exposition families scrape total series
                 accept_openmetrics);

my $name   = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
my $label  = qr/[a-zA-Z_][a-zA-Z0-9_]*/;
my $string = qr/(?:[^"\\\n]|\\["\\n])*/;
my $number = qr/[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?/;

# of each type, what its samples may have behind the name of the family

my %suffixes = (
    text => {
        counter   => [ '' ],
        gauge     => [ '' ],
        histogram => [ '_bucket', '_sum', '_count' ],
    },
    openmetrics => {
        counter   => [ '_total' ],
        gauge     => [ '' ],
        info      => [ '_info' ],
        unknown   => [ '' ],
        histogram => [ '_bucket', '_sum', '_count' ],
    },
);


sub accept_openmetrics { 'application/openmetrics-text;version=1.0.0' }


# GETs it, with headers, and dies unless it is what its media type says

sub scrape {
    my ($t, $path, @headers) = @_;

    my $response = ref $t eq 'HASH' ? $t : $t->get($path, @headers);
    my $type = $response->{headers}{'content-type'} || '';

    die "status $response->{status}: $response->{body}\n"
        if $response->{status} != 200;

    die "media type $type\n"
        unless $type =~ m{^ (?: text/plain;\ version=0\.0\.4
                              | application/openmetrics-text;
                                \ version=1\.0\.0 );
                          \ charset=utf-8 \z}x;

    return exposition($response->{body}, $type =~ /openmetrics/);
}


sub exposition { return (parse(@_))[0] }


# likewise, but { FAMILY => { type, help, samples => [ NAMES ] } }

sub families { return (parse(@_))[1] }


# the sum of the samples that have these labels, or undef where there are none

sub total {
    my ($samples, $name, %labels) = @_;

    my @series = series($samples, $name, %labels) or return;
    my $sum = 0;

    $sum += $samples->{$name}{$_} for @series;

    return $sum;
}


# what labels samples have, of those that have these

sub series {
    my ($samples, $name, %labels) = @_;

    return sort grep {
        my $of = ",$_,";
        !grep { index($of, ",$_=$labels{$_},") < 0 } keys %labels;
    } keys %{ $samples->{$name} || {} };
}


sub parse {
    my ($text, $openmetrics) = @_;

    my $format = $openmetrics ? 'openmetrics' : 'text';
    my $p = { format => $format, families => {}, samples => {} };

    die "nothing\n" if $text eq '';
    die "the last line has no end\n" unless $text =~ /\n\z/;

    Encode::decode('UTF-8', my $copy = $text, Encode::FB_CROAK);

    my @lines = split /\n/, $text, -1;
    pop @lines;

    if ($openmetrics) {
        die "no # EOF at the end\n" unless pop @lines eq '# EOF';
    }

    for my $i (0 .. $#lines) {
        eval {
            parse_line($p, $lines[$i]);
            1;
        } or die "line " . ($i + 1) . ", \"$lines[$i]\": $@";
    }

    end_family($p);

    # what a family is called, no sample of another one may be

    for my $family (sort keys %{ $p->{families} }) {
        for my $suffix (qw(_total _info _bucket _sum _count _created)) {
            next unless $family =~ /^(.*)\Q$suffix\E\z/;
            my $other = $p->{families}{$1} or next;

            die "$family is a sample of $1\n"
                if grep { $_ eq $suffix }
                   @{ $suffixes{$format}{ $other->{type} } };
        }
    }

    return ($p->{samples}, $p->{families});
}


sub parse_line {
    my ($p, $line) = @_;

    if ($line =~ /^# HELP ($name) (.*)\z/) {
        my ($family, $help) = ($1, $2);

        end_family($p);

        die "$family was there before\n" if $p->{families}{$family};
        die "no help\n" if $help eq '';
        die "an escape that is none\n" if $help =~ /\\[^n\\"]|\\\z/;

        $p->{current} = $family;
        $p->{families}{$family} = { help => $help };

    } elsif ($line =~ /^# TYPE ($name) (\S+)\z/) {
        my ($family, $type) = ($1, $2);

        die "no HELP before it\n"
            unless defined $p->{current} && $p->{current} eq $family;
        die "a second TYPE\n" if $p->{families}{$family}{type};
        die "unknown type\n" unless $suffixes{ $p->{format} }{$type};
        die "a counter of that name\n"
            if $p->{format} eq 'openmetrics' && $type eq 'counter'
               && $family =~ /_total\z/;

        $p->{families}{$family}{type} = $type;

    } elsif ($line =~ /^#/) {
        die "neither HELP nor TYPE\n";

    } else {
        parse_sample($p, $line);
    }

    return;
}


sub parse_sample {
    my ($p, $line) = @_;

    my ($sample, $labels, $value) =
        $line =~ /^($name)(?:\{([^\n]*)\})? ($number)\z/
        or die "no sample\n";

    my $current = $p->{current};

    die "no family\n" unless defined $current;

    my $family = $p->{families}{$current};

    die "no TYPE before it\n" unless $family->{type};

    my ($suffix) = grep { "$current$_" eq $sample }
                   @{ $suffixes{ $p->{format} }{ $family->{type} } };

    die "is not of the family $current\n" unless defined $suffix;

    my %label = parse_labels(defined $labels ? $labels : '');
    my $key = join ',', map { "$_=$label{$_}" } sort keys %label;

    die "is there twice\n" if exists $p->{samples}{$sample}{$key};
    die "an info that is not 1\n"
        if $family->{type} eq 'info' && $value ne '1';

    $p->{samples}{$sample}{$key} = $value;
    push @{ $family->{samples} }, $sample;

    if ($family->{type} eq 'histogram') {
        histogram($p, $suffix, \%label, $value);

    } elsif (exists $label{le}) {
        die "le, and no histogram\n";
    }

    return;
}


sub parse_labels {
    my ($text) = @_;
    my %label;

    while ($text =~ s/\A($label)="($string)"(,(?=.)|\z)//) {
        my ($key, $value) = ($1, $2);

        die "label $key is there twice\n" if exists $label{$key};
        die "label $key is reserved\n" if $key =~ /^__/;

        $value =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ge;
        $label{$key} = $value;
    }

    die "labels that are none: $text\n" if $text ne '';

    return %label;
}


# buckets in ascending order, never less than before; then _sum, then _count

sub histogram {
    my ($p, $suffix, $label, $value) = @_;

    my $le = delete $label->{le};
    my $of = join ',', map { "$_=$label->{$_}" } sort keys %$label;
    my $now = $p->{histogram};

    if ($suffix eq '_bucket') {
        die "no le\n" unless defined $le;
        die "le is no number\n" unless $le =~ /^(?:$number|\+Inf)\z/;
        die "le is no float\n"
            if $p->{format} eq 'openmetrics' && $le !~ /[.e]|Inf/;
        die "a count that is no whole number\n" unless $value =~ /^[0-9]+\z/;

        if (!$now) {
            $now = $p->{histogram} = { of => $of, edge => -1, count => 0 };
        }

        my $edge = $le eq '+Inf' ? 9**9**9 : $le;

        die "buckets of $now->{of} have no end\n" if $now->{of} ne $of;
        die "a bucket behind the last one\n" if $now->{edge} == 9**9**9;
        die "edges do not ascend\n" if $edge <= $now->{edge};
        die "less than the bucket before\n" if $value < $now->{count};

        @{$now}{qw(edge count last)} = ($edge, $value, $value);
        return;
    }

    die "le in $suffix\n" if defined $le;
    die "no buckets before it\n" unless $now && $now->{of} eq $of;
    die "no bucket +Inf before it\n" unless $now->{edge} == 9**9**9;

    if ($suffix eq '_sum') {
        die "a second sum\n" if $now->{sum}++;
        return;
    }

    die "no sum before it\n" unless $now->{sum};
    die "not the count of +Inf\n" if $value ne $now->{last};

    $p->{histogram} = undef;

    return;
}


sub end_family {
    my ($p) = @_;

    die "a histogram has no end\n" if $p->{histogram};

    my $current = delete $p->{current};

    die "$current has no TYPE\n"
        if defined $current && !$p->{families}{$current}{type};

    return;
}


1;
