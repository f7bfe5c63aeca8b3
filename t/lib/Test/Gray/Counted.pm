package Test::Gray::Counted;

# Copyright (C) the nginx gray module authors
#
# What requests have changed in the metrics, all of it:
#
#     my $counted = Test::Gray::Counted->new($t,
#         app => 'server 127.0.0.1:%%PORT_v2%%;', mine => undef);
#
#     $t->config("http { ${\$counted->http}
#         server { ... ${\$counted->log} location / { proxy_pass http://app; } }
#     }")->start;
#
#     $counted->case('refused', sub { $t->get('/') },
#                    'app canary: split 5xx, connect, duration');
#
# A release is declared if there are servers: of the canary, which all get,
# while those of the baseline are at port v1.  Other directives may follow in
# an array.
#
# Of each variant that was counted there is one string:
#
#     REASON CODE              nginx_gray_requests_total
#     cached, local, closed    nginx_gray_requests_absent_total
#     connect, timeout...      nginx_gray_upstream_failures_total
#     fallback, stream, live   the metrics of these names
#     header, duration         a time in that histogram
#
# with " x2" behind what came to two, and one for each release with the rules
# that have decided, "app: rule NAME".  Whatever else has changed is there by
# its own name.  Log variables must say the same as the metrics; bytes and
# times, in each bucket, must be those of the log.

use strict;
use warnings;

use List::Util qw(max sum0);
use Test::More ();

use Test::Gray::Process;

my %kinds = map { $_ => 1 } qw(connect timeout reset invalid no_live status);

# in this order

my @short = (
    [ requests_total        => sub { "$_[0]{reason} $_[0]{code}" } ],
    [ requests_absent_total => sub { $_[0]{cause} } ],
    [ upstream_failures_total => sub { $_[0]{kind} } ],
    [ fallbacks_total       => sub { 'fallback' } ],
    [ streams_total         => sub { 'stream' } ],
    [ live_requests         => sub { 'live' } ],
    [ rule_matches_total    => sub { "rule $_[0]{rule}" } ],
    [ response_header_seconds_count  => sub { 'header' } ],
    [ request_duration_seconds_count => sub { 'duration' } ],
);

my %short = map { $short[$_][0] => [ $_, $short[$_][1] ] } 0 .. $#short;


sub new {
    my ($class, $t, %servers) = @_;

    return bless { t => $t, servers => \%servers, lines => 0 }, $class;
}


# -- directives

# within http

sub http {
    my ($self) = @_;

    my @releases = sort keys %{ $self->{servers} };
    my $variables = join '', map {
        "; $_ \$gray_${_}_outcome \$gray_${_}_failures \$gray_${_}_ttfb"
    } @releases;
    my $releases = join '', map { $self->release($_) }
                   grep { defined $self->{servers}{$_} } @releases;

    return <<"END";
    gray_zone gray 8m document=4k;
    variables_hash_max_size 2048;
    variables_hash_bucket_size 128;

    log_format counted '\$request_time \$request_length \$bytes_sent$variables';
    access_log off;

    upstream up_stable { server 127.0.0.1:%%PORT_v1%%; }

$releases
    server {
        listen 127.0.0.1:%%PORT_metrics%%;
        location / { gray_metrics; }
    }
END
}


sub release {
    my ($self, $name) = @_;

    my $servers = $self->{servers}{$name};
    my ($own, @more) = ref $servers ? @$servers : $servers;

    return <<"END";
    upstream up_$name { $own }

    gray_release $name {
        zone gray;
        hash \$remote_addr;
        variant stable up_stable;
        variant canary up_$name weight=100%;
        @more
    }
END
}


# within a server or a location

sub log { return 'access_log %%DIR%%/counted.log counted;' }


# -- cases

# a name, code that makes a request, and what is counted

sub case {
    my ($self, @case) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $self->cases(1, @case);
}


# of a GET, with what Test::Gray::Acting is to do, and lines of its header behind
# a "+" each; returns the response

sub get {
    my ($self, $path, $do, $status, @expected) = @_;

    my ($act, @lines) = split /(?:^| )\+ /, $do;
    my $name = join ' ', "/$path", grep { length } $do;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $response = $self->case($name, sub {
        return $self->{t}->get("/$path", length $act ? ('X-Do' => $act) : (),
                               map { ('X-Add' => $_) } @lines);
    }, @expected);

    Test::More::is($response->{status}, $status, "$name: status");

    return $response;
}


# of code that makes so many requests; returns what the code does

sub cases {
    my ($self, $requests, $name, $code, @expected) = @_;

    $self->{before} ||= $self->scrape;

    my @result = $code->();

    wait_until(sub { $self->lines >= $self->{lines} + $requests });

    my $after = $self->scrape;
    my $change = change($self->{before}, $after);
    my @lines = $self->lines;

    splice @lines, 0, $self->{lines};

    $self->{before} = $after;
    $self->{lines} += @lines;

    my $told = told($change);
    my @log = map { logged($_) } @lines;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::is_deeply(
        [ map({ "$_: $told->{$_}" } sort keys %$told),
          @lines == $requests ? () : scalar(@lines) . ' lines in the log',
          variables($told, @log),
          numbers($told, $change, @log) ],
        \@expected, $name)
        or Test::More::diag(join "\n", @lines);

    return wantarray ? @result : $result[0];
}


# so many requests were of no case

sub forget {
    my ($self, $requests) = @_;

    $self->{lines} += $requests;

    wait_until(sub { $self->lines >= $self->{lines} });

    $self->{before} = $self->scrape;

    return;
}


# what is live at the moment: "app canary: live"

sub live {
    my ($self) = @_;

    my $sample = $self->scrape;
    my $told = told({ map { $_ => $sample->{$_} }
                      grep { /^nginx_gray_live/ && $sample->{$_} }
                      keys %$sample });

    return join '; ', map { "$_: $told->{$_}" } sort keys %$told;
}


# -- the metrics

sub scrape {
    my ($self) = @_;

    my $response = $self->{t}->http('metrics')->get('/');
    my %sample;

    die "no metrics: $response->{status}\n" if $response->{status} != 200;

    for my $line (split /\n/, $response->{body}) {
        next if $line =~ /^#/;

        my ($name, $value) = $line =~ /^(nginx_gray_\w+\{\S*\}) (\S+)$/
            or die "not a sample: $line\n";

        $sample{$name} = $value;
    }

    return \%sample;
}


# also of what has not changed

sub change {
    my ($before, $after) = @_;

    return { map { $_ => ($after->{$_} || 0) - ($before->{$_} || 0) }
             keys %$before, keys %$after };
}


sub parts {
    my ($name) = @_;

    my ($metric, $labels) = $name =~ /^nginx_gray_(\w+)\{(.*)\}$/;

    return ($metric, { $labels =~ /(\w+)="([^"]*)"/g });
}


# by "RELEASE VARIANT", or RELEASE

sub told {
    my ($change) = @_;

    my %told;

    for my $name (grep { $change->{$_} } sort keys %$change) {
        my ($metric, $label) = parts($name);

        next if $metric =~ /_bytes_total$|_seconds_(?:bucket|sum)$/;

        my $owner = join ' ', grep { defined } @{$label}{qw(release variant)};
        my $n = $change->{$name} == 1 ? '' : " x$change->{$name}";

        push @{ $told{$owner} }, $short{$metric}
            ? [ $short{$metric}[0], $short{$metric}[1]->($label) . $n ]
            : [ 99, $metric . $n ];
    }

    for (values %told) {
        $_ = join ', ', map { $_->[1] }
             sort { $a->[0] <=> $b->[0] || $a->[1] cmp $b->[1] } @$_;
    }

    return \%told;
}


# -- the log

sub lines {
    my ($self) = @_;

    my @lines = $self->{t}->read_file('counted.log') =~ /^(.*)\n/mg;

    return @lines;
}


# what a line says of each release that was counted

sub logged {
    my ($line) = @_;

    my ($request, @releases) = split /; /, $line;
    my ($time, $in, $out) = split / /, $request;

    return map {
        my ($release, $outcome, $failures, $header) = split / /;

        { release  => $release,
          outcome  => $outcome,
          failures => [ grep { $_ ne '-' } split /,/, $failures ],
          header   => $header eq '-' ? undef : $header,
          time     => max($time, $header eq '-' ? 0 : $header),
          received => $outcome =~ /^\d/ ? $in : 0,
          sent     => $outcome =~ /^\d/ ? $out : 0 }
    } grep { !/^\S+ - - -$/ } @releases;
}


# where they do not say what the metrics do

sub variables {
    my ($told, @log) = @_;

    my (%metrics, %log);

    for my $owner (grep { / / } keys %$told) {
        my ($release) = split / /, $owner;

        for my $what (split /, /, $told->{$owner}) {
            my ($word, $n) = $what =~ /^(.*?)(?: x(\d+))?$/;

            next if $word =~ /^(?:fallback|stream|live|duration)$/;

            # a kind is named once, however many attempts have failed by it

            $n = 1 if !$n || $kinds{$word};
            $word =~ s/.* //;
            $metrics{"$release $word"} += $n;
        }
    }

    for my $line (@log) {
        $log{"$line->{release} $_"}++
            for $line->{outcome}, @{ $line->{failures} },
                defined $line->{header} && timed($told, $line) ? 'header' : ();
    }

    return map  { "log: $_ x" . ($log{$_} || 0) }
           grep { ($log{$_} || 0) != ($metrics{$_} || 0) }
           sort keys %{ { %log, %metrics } };
}


# requests of one case are streams, or none of them is; absent ones are not
# timed

sub timed {
    my ($told, $line) = @_;

    return $line->{outcome} =~ /^\d/
           && !grep { /^$line->{release} / && $told->{$_} =~ /\bstream\b/ }
              keys %$told;
}


# bytes and times that are not those of the log

sub numbers {
    my ($told, $change, @log) = @_;

    my (%got, %right);

    for my $name (keys %$change) {
        my ($metric, $label) = parts($name);

        next unless $metric =~ /_bytes_total$|_seconds_(?:bucket|sum)$/;

        my $id = join ' ', grep { defined }
                 $label->{release}, $metric, $label->{le};

        $got{$id} += $change->{$name};
        $right{$id} = sum0(map { right($told, $_, $metric, $label->{le}) }
                           grep { $_->{release} eq $label->{release} } @log);
    }

    return map  { "$_: $got{$_}, not $right{$_}" }
           grep { abs($got{$_} - $right{$_}) > 1e-6 }
           sort keys %got;
}


sub right {
    my ($told, $line, $metric, $le) = @_;

    return $line->{$1} if $metric =~ /^(\w+)_bytes_total$/;

    my $time = $line->{ $metric =~ /header/ ? 'header' : 'time' };

    return 0 if !defined $time || !timed($told, $line);
    return $time unless defined $le;
    return $le eq '+Inf' || $time < $le + 1e-9;
}


1;
