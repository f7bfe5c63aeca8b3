package Count::Scraper;

# Copyright (C) the nginx gray module authors
#
# Scrapes all the time, in a process of its own, and looks at each number: no
# counter may be less than before, or be gone.
#
#     my $scraper = Count::Scraper->start($t, '/metrics', $most);
#     my $found = $scraper->end;
#
# What is found: "scrapes"; "failed", those that had no answer, as their worker
# was killed; "problems"; "most", of requests under way; and "high": where these
# were more than "most", [ FROM, TO, N ].

use strict;
use warnings;

use JSON::PP ();
use POSIX ();

use Test::Gray::Exposition;
use Test::Gray::Process;

use Count::Load;

my $pause = 0.01;
my $json = JSON::PP->new->canonical;


sub start {
    my ($class, $t, $path, $most) = @_;

    my $self = bless { t => $t, path => $path, bound => $most }, $class;

    $self->{pid} = $t->child(sub {
        my $over = 0;

        $SIG{USR1} = sub { $over = 1 };
        $SIG{PIPE} = 'IGNORE';

        %$self = (%$self, scrapes => 0, failed => 0, most => 0, high => [],
                  problems => []);

        until ($over) {
            $self->scrape_once;
            select undef, undef, undef, $pause;
        }

        $t->write_file('scraped', $json->encode({
            map { $_ => $self->{$_} } qw(scrapes failed most high problems)
        }));
        POSIX::_exit(0);
    });

    return $self;
}


sub scrape_once {
    my ($self) = @_;

    my $from = Count::Load::now();
    my $response = $self->{t}->get($self->{path});
    my $to = Count::Load::now();

    if ($response->{status} == 599) {
        $self->{failed}++;
        return;
    }

    my $metrics = eval { scrape($response) };

    return $self->problem($@) unless $metrics;

    $self->{scrapes}++;
    $self->compare($self->{before}, $metrics) if $self->{before};
    $self->{before} = $metrics;

    my $live = total($metrics, 'nginx_gray_live_requests') || 0;

    $self->{most} = $live if $live > $self->{most};
    push @{ $self->{high} }, [ $from, $to, $live ] if $live > $self->{bound};

    return;
}


sub compare {
    my ($self, $before, $after) = @_;

    for my $name (grep { /_(?:total|bucket|sum|count)$/ } keys %$before) {
        my ($old, $new) = ($before->{$name}, $after->{$name});

        for my $labels (keys %$old) {
            my $value = $new->{$labels};

            $self->problem("$name\{$labels} was $old->{$labels} and is "
                           . (defined $value ? $value : 'gone'))
                if !defined $value || $value < $old->{$labels};
        }
    }

    return;
}


sub problem {
    my ($self, $text) = @_;

    push @{ $self->{problems} }, $text if @{ $self->{problems} } < 100;

    return;
}


sub end {
    my ($self) = @_;

    kill 'USR1', $self->{pid};
    wait_until(sub { !alive($self->{pid}) });
    $self->{t}->reap($self->{pid});

    my $text = $self->{t}->read_file('scraped');

    return $text ne '' ? $json->decode($text)
                       : { scrapes => 0, failed => 0, most => 0, high => [],
                           problems => [ 'the scraper has died' ] };
}


1;
